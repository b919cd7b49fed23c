"""Tracing: types from examples, handles threaded, mistakes at the author's line, text that golden tests compare."""

from typing import Any, ClassVar

import pytest
import torch

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir import tracing
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.ops.sequence import append, get, look, put
from penstock.ir.region import repeat
from penstock.ir.show import show
from penstock.ir.standin import StandIn
from penstock.ir.state import Register
from penstock.ir.trace import Tracer
from penstock.library import ModelDrafter, ModelVerifier, Repetition, Temperature
from penstock.passes.build import build, example_state
from penstock.passes.dead_code import dead_code
from penstock.passes.lint import LintError, linear, row_wise
from penstock.passes.order import elaborate
from penstock.passes.plan import Plan

GOLDEN = """\
  # step
  %0, %1, %2, %3, %4 = look(seq) : i64[b], bool[b], i64[b], i64[b], i64[b]
  # verifier.model.0
  view_t', %5 = forward(view_t, seq, root=True) : f32[b,1,v]
  # transform.repetition.0
  %6 = get(reg_transform_repetition_0) : bool[b,7]  <lift>
  %7 = widened(%6, 1) : bool[b,1,7]  <lift>
  %8 = repetition_penalty(%5, %7, 1.2) : f32[b,1,v]  <lift>
  # transform.temperature.0
  %9 = scale(%8, 0.8) : f32[b,1,v]  <lift>
  # accept
  %10, %11 = blank_path(%0, 1) : i64[b], i64[b,1]
  %12, _, %13, %14, %15 = walk 1 {...}(%10, %1, %11, %11, %10, %9, %0, %2, %3, %4, %1) <match for no draft>, folded
  %16 = sub(%15, 1) : i64[b]
  %17 = at(%13, %16) : i64[b]
  # state
  view_t'' = keep(view_t', seq, %14, %15)
  %18 = at(%7, %12) : bool[b,7]
  %19 = advance(transform.repetition, %18, %17, None) : bool[b,7]
  reg_transform_repetition_0' = put(reg_transform_repetition_0, %19)
  seq' = append(seq, %13, %15, ())
  return seq', view_t'', reg_transform_repetition_0'"""


def step_of(*stages: Stage, vocab: int = 7):
    plan = elaborate(stages)
    names = [view for p in plan.stages if p.has("views") for view in p.stage.views()]
    views = {name: StandIn(name, vocab, capabilities=frozenset({"tree"})) for name in names}
    return build(plan, views)


def tracer() -> Tracer:
    state = example_state(Plan(()), {"t": StandIn("t", 7)}) | {"reg:x": Register(torch.zeros(7, 3))}
    return Tracer(state, 7)


def test_a_step_prints_as_text():
    step = step_of(ModelVerifier(model="t"), Repetition(), Temperature(value=0.8))
    dead_code(step.graph)
    lines = [line.split("  test_trace.py")[0] for line in show(step.graph).split("\n")]
    assert "\n".join(lines) == GOLDEN


def test_stages_print_where_they_were_declared():
    assert "# transform.temperature.0  test_trace.py:" in show(step_of(ModelVerifier(model="t"), Temperature()).graph)


def test_every_traced_step_is_linear_and_row_wise():
    step = step_of(ModelDrafter(model="d", paths=2, length=2), ModelVerifier(model="t"), Repetition(), Temperature())
    linear(step.graph)
    assert row_wise(step.graph) > 30


def test_a_handle_read_after_it_was_consumed_is_found():
    step = step_of(ModelVerifier(model="t"))
    nodes = list(step.graph.nodes)
    keep = next(n for n in nodes if n.name == "keep")
    seq = next(n for n in nodes if n.name == "seq")
    appended = next(n for n in nodes if n.name == "append")
    appended.append(keep)  # keep borrows seq, which append has consumed
    assert keep.args[1] is seq
    with pytest.raises(LintError, match="keep reads seq, which append has consumed"):
        linear(step.graph)


@op()
def centred(logits: torch.Tensor) -> torch.Tensor:
    """Planted: subtracts the mean over the batch."""
    return logits - logits.mean(0)


class Centred(Stage):
    kind: ClassVar[str] = "tests.centred"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"

    def transform(self, logits: Any) -> Any:
        return centred(logits)


def test_an_op_that_couples_rows_and_does_not_say_so_is_found():
    with pytest.raises(LintError, match=r"couples the rows .* \(stage tests.centred.0\)"):
        row_wise(step_of(ModelVerifier(model="t"), Centred()).graph)


class Shapeless(Stage):
    kind: ClassVar[str] = "tests.shapeless"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"

    def transform(self, logits: Any) -> Any:
        return logits @ torch.zeros(3, 2)


def test_a_type_error_names_the_stage_and_its_place():
    with pytest.raises(PenstockError) as caught:
        step_of(ModelVerifier(model="t"), Shapeless())
    line = Shapeless.transform.__code__.co_firstlineno + 1
    assert "stage tests.shapeless.0" in str(caught.value) and f"test_trace.py:{line}: transform(f32[b,1,v])" in str(caught.value)


def test_plain_torch_is_one_atomic_node_and_ops_are_seen():
    class Plain(Stage):
        kind: ClassVar[str] = "tests.plain"
        role: ClassVar[Role] = "transform"
        effect: ClassVar[Effect] = "steers"

        def transform(self, logits: Any) -> Any:
            return (logits * 2).roll(1, -1)

    text = show(step_of(ModelVerifier(model="t"), Plain(), Temperature(value=0.5)).graph)
    assert "atomic(tests.plain, 'transform'" in text and "scale(" in text and "mul" not in text and "roll" not in text


def test_regions_carry_values_and_the_handles_they_touch():
    t = tracer()
    with tracing.recording(t):
        _, t.live, *_ = look("seq")

        def body(i: Any, x: Any) -> tuple[Any]:
            put("reg:x", get("reg:x") + x)
            return (x + 1,)

        (out,) = repeat(3, body, [get("reg:x")])
        put("reg:x", out)
        graph = t.finish(("seq", "reg:x"))
    region = next(n for n in graph.nodes if n.name == "repeat")
    assert len(region.target.carried) == 2  # the value and the register that the body writes
    linear(graph)


def test_an_unknown_handle_is_named():
    t = tracer()
    with tracing.recording(t), pytest.raises(PenstockError, match="reads the view nobody, which no stage of this pipeline has"):
        append("view:nobody", None, None, ())
