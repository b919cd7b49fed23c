"""Examples as wide as a large vocabulary are types alone: the types that they have on values, and no mistake is lost."""

from typing import Any

import pytest
import torch
from catalogue import DRAFTERS, SCORERS, SHAPES, SMALL
from torch.utils._python_dispatch import TorchDispatchMode

import penstock
from penstock.backends.inductor.lower import marked
from penstock.ir import example
from penstock.ir.errors import PenstockError
from penstock.ir.example import made_of_examples, valued, valueless
from penstock.ir.op import op
from penstock.ir.ops.logits import top_p
from penstock.ir.show import show
from penstock.ir.standin import StandIn
from penstock.library import ModelDrafter, ModelVerifier, Repetition, Temperature, TopK, TopP
from penstock.passes.build import StepGraph, build
from penstock.passes.lint import LintError, typed
from penstock.passes.order import elaborate, optimised
from penstock.testing import small_world, step_of

V = 128256
CELLS = [(drafter, "model", "top_p") for drafter in DRAFTERS] + [("chain", "model", shape) for shape in SHAPES]
CELLS += [("beam", scorer, "repetition") for scorer in SCORERS]


def wide_step(*stages: Any, vocab: int = V) -> StepGraph:
    views = {view: StandIn(view, vocab, capabilities=frozenset({"tree"})) for view in ("t", "draft:d")}
    return build(elaborate((ModelDrafter(model="d", length=2), ModelVerifier(model="t"), *stages)), views)


def wide_logits(*lead: int) -> torch.Tensor:
    return torch.empty(*lead, V, device="meta")


@pytest.mark.parametrize(("drafter", "scorer", "shape"), CELLS, ids=["-".join(cell) for cell in CELLS])
def test_types_are_those_that_values_have(drafter, scorer, shape, monkeypatch):
    """Three tokens taken for many: as traced, optimised, and prepared for regions, the graph is the same, line by line."""
    stages = tuple(stage for stage in (DRAFTERS[drafter], SCORERS[scorer], SHAPES[shape]) if stage)
    plan, world = elaborate(stages), small_world(stages, batch=2, **SMALL)

    def texts() -> list[str]:
        graph = step_of(plan, world).graph
        made = graph, optimised(graph)[0], marked(graph), marked(graph, lockstep=True)
        return [show(each, unfold=True) for each in made]

    on_values = texts()
    monkeypatch.setattr(example, "WIDE", 2)
    assert texts() == on_values


class Sorts(TorchDispatchMode):
    """How often a vocabulary with values is sorted."""

    found = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found += func.overloadpacket is torch.ops.aten.sort and args[0].numel() >= V and not args[0].is_meta
        return func(*args, **(kwargs or {}))


def test_nothing_sorts_a_large_vocabulary():
    with Sorts() as sorts:
        step = wide_step(Repetition(alpha=1.2), Temperature(value=0.8), TopK(k=50), TopP(p=0.9))
        graph, ran = optimised(step.graph)
        marked(step.graph, lockstep=True)
        assert not sorts.found and any(each.name == "narrow" and each.modified for each in ran)
        torch.rand(V).sort()
        assert sorts.found == 1
    tensors = [each for node in graph.nodes if isinstance(each := node.meta.get("example"), torch.Tensor)]
    assert {each.shape[-1] for each in tensors} >= {V, 50}
    assert all(valueless(each) == (each.shape[-1] == V) for each in tensors)


@pytest.mark.parametrize("vocab", [9, V])
def test_a_wrong_type_is_found_whatever_the_width(vocab):
    graph = wide_step(TopP(p=0.9), vocab=vocab).graph
    typed(graph)
    shaped = next(node for node in graph.nodes if node.target is top_p)
    shaped.meta["example"] = shaped.meta["example"][..., 1:]
    with pytest.raises(LintError, match="was said to be"):
        typed(graph)


@penstock.stage("transform.beyond")
def beyond(logits, *, token: int = V):
    """Forbids a token that there may not be."""
    return logits.index_fill(-1, torch.tensor([token]), -torch.inf)


def test_a_stages_own_code_is_run_on_values():
    assert wide_step(beyond(token=V - 1)).graph
    with pytest.raises(PenstockError, match="cannot be run at one site") as refused:
        wide_step(beyond())
    assert "transform.beyond.0" in str(refused.value)


@op()
def counted(logits: Any) -> Any:
    """How many are positive, as the host counts."""
    return torch.tensor([sum(value > 0 for value in row) for row in logits.tolist()])


@op()
def broken(logits: Any) -> Any:
    """What fails on any logits."""
    return logits.view(-1, 5)


def test_an_op_that_asks_for_values_has_some():
    assert made_of_examples(counted, (wide_logits(2),), {}).tolist() == [V, V]


def test_an_op_fails_as_it_does_on_values():
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        made_of_examples(broken, (wide_logits(7),), {})


def test_values_that_are_asked_for_are_of_the_same_type():
    """Logits and weights that allow every token, the first id, and conditions that hold."""
    logits, ids = wide_logits(7), torch.arange(3)
    kept = valued({"x": (logits, logits.bfloat16(), logits > 0, logits.long()), "ids": ids})
    told = [(x.dtype, tuple(x.shape), int(x.min()), int(x.max())) for x in kept["x"]]
    kinds = {torch.float32: 1, torch.bfloat16: 1, torch.bool: 1, torch.int64: 0}
    assert told == [(kind, (7, V), value, value) for kind, value in kinds.items()]
    assert kept["ids"] is ids
