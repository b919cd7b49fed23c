"""Regions: what is carried, captured and narrowed, the same whoever runs them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from penstock.backends.eager.generate import compiled
from penstock.backends.eager.kernels import KERNELS, REGIONS
from penstock.backends.eager.lower import copied
from penstock.backends.enumerate.worlds import Worlds
from penstock.backends.interpret import Interpreter
from penstock.backends.runtime.table import TableModel
from penstock.ir import tracing
from penstock.ir.op import op
from penstock.ir.ops.forward import forward
from penstock.ir.ops.random import race
from penstock.ir.ops.sequence import append, get, look, put
from penstock.ir.region import call, cond_rows, repeat
from penstock.ir.rows import State
from penstock.ir.show import show
from penstock.ir.standin import StandIn, example_state
from penstock.ir.state import LENGTH, Register, new_sequence, new_view
from penstock.ir.trace import Tracer
from penstock.passes.dead_code import dead_code
from penstock.passes.lint import linear, row_wise

ROWS, WIDTH, VOCAB = 3, 3, 3
HANDLES = ("seq", "view:t", "reg:x", "reg:y")
X, Y = 2 * torch.arange(3.0)[:, None] + torch.arange(3.0), torch.tensor([1.0, 10.0, 100.0])
RAN: list[str] = []


@op()
def add(a: Any, b: Any) -> Any:
    """``a + b``."""
    return a + b


@op()
def noted(x: Tensor, name: str) -> Tensor:
    """x itself; remembers that it was run."""
    RAN.append(name)
    return x


@op()
def above(x: Tensor, least: float) -> Tensor:
    """bool ``[b]``: rows whose first entry is at least this."""
    return x[:, 0] >= least


@op()
def plus(x: Tensor, y: Tensor) -> Tensor:
    """A number a row added to all its entries."""
    return x + y[:, None]


@op()
def row_of(token: Tensor, like: Tensor) -> Tensor:
    """A token a row as numbers of another's shape."""
    return token[:, None].expand_as(like).to(like)


def traced(body: Callable[[], None]) -> fx.Graph:
    """A step that does this; its sequence is looked at first, so that it knows which rows live."""
    state = example_state({"t": StandIn("t", VOCAB)}, 4)
    state |= {"reg:x": Register(torch.zeros(7, WIDTH)), "reg:y": Register(torch.zeros(7))}
    tracer = Tracer(state, VOCAB)
    with tracing.recording(tracer):
        _, tracer.live, *_ = look("seq")
        body()
        graph = tracer.finish(HANDLES)
    linear(graph)
    row_wise(graph)
    RAN.clear()
    return graph


def fresh(dead: tuple[int, ...] = ()) -> State:
    """Rows with prompts of 1, 2 and 3 tokens; some have ended."""
    seq = new_sequence(ROWS, 8, key=torch.arange(ROWS), limit=6)
    seq.status[list(dead)] = LENGTH
    view = new_view(TableModel(VOCAB, 1), [[1], [2, 0], [0, 2, 1]], 8)
    return {"seq": seq, "view:t": view, "reg:x": Register(X.clone()), "reg:y": Register(Y.clone())}


def worlds(graph: fx.Graph, args: list[Any]) -> Any:
    return Worlds(torch.ones(1, dtype=torch.float64), torch.zeros(ROWS, 0, dtype=torch.long), ROWS, {}, None).run(graph, args)


RUNS: dict[str, Callable[[fx.Graph, list[Any]], Any]] = {
    "interpreted": lambda graph, args: Interpreter().run(graph, args),
    "generated": lambda graph, args: compiled(copied(graph), KERNELS, REGIONS)(*args),
    "enumerated": worlds,
}


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Callable[..., State]:
    """Run a graph over fresh rows."""

    def once(graph: fx.Graph, state: State | None = None) -> State:
        state = fresh() if state is None else state
        return dict(zip(HANDLES, RUNS[request.param](graph, [state[name] for name in HANDLES]), strict=True))

    return once


def value(state: State, name: str) -> Tensor:
    return state[f"reg:{name}"].value


def test_repeat_counts_carries_values_and_threads_handles(run):
    def body() -> None:
        outside = get("reg:y")

        def once(i: Any, x: Any) -> list[Any]:
            put("reg:y", add(get("reg:y"), 1.0))  # a handle: its next version goes into the next iteration
            return [add(plus(x, outside), i)]

        (x,) = repeat(3, once, [get("reg:x")])
        put("reg:x", x)

    out = run(traced(body))
    assert torch.equal(value(out, "x"), X + 3 * Y[:, None] + 0 + 1 + 2)
    assert torch.equal(value(out, "y"), Y + 3)


def test_repeat_with_a_mask_among_its_carry_is_a_bounded_while(run):
    def body() -> None:
        def once(_: Any, x: Any, going: Any) -> list[Any]:
            def grow(x: Any) -> list[Any]:
                return [add(x, 1.0)]

            (x,) = cond_rows(going, grow, [x])
            return [x, ~above(x, 4.0)]

        x, _ = repeat(5, once, [get("reg:x"), ~above(get("reg:x"), 4.0)])
        put("reg:x", x)

    assert torch.equal(value(run(traced(body)), "x")[:, 0], torch.tensor([4.0, 4.0, 4.0]))


@pytest.mark.parametrize(("least", "dead", "changed"), [(2.0, (), [1, 2]), (2.0, (2,), [1]), (0.0, (0, 1, 2), []), (9.0, (), [])])
def test_cond_rows_changes_only_live_rows_that_are_meant(run, least, dead, changed):
    def body() -> None:
        x = get("reg:x")

        def once(x: Any) -> list[Any]:
            put("reg:y", get("reg:y") * 2)
            return [add(noted(x, "body"), 50.0)]

        (new,) = cond_rows(above(x, least), once, [x])
        put("reg:x", new)

    out = run(traced(body), fresh(dead))
    meant = torch.zeros(ROWS, dtype=torch.bool)
    meant[changed] = True
    assert torch.equal(value(out, "x"), torch.where(meant[:, None], X + 50, X))
    assert torch.equal(value(out, "y"), torch.where(meant, Y * 2, Y))
    assert RAN == (["body"] if changed else [])  # where no row is meant, nothing runs


def test_what_lives_outside_a_conditional_region_is_as_before(run):
    def body() -> None:
        cond_rows(above(get("reg:x"), 4.0), lambda: put("reg:x", get("reg:x") * 0) or [], [])
        put("reg:y", add(get("reg:y"), 1.0))

    out = run(traced(body))
    assert torch.equal(value(out, "y"), Y + 1)
    assert torch.equal(value(out, "x"), torch.where(X[:, :1] >= 4, 0.0, X))


def test_regions_nest_and_capture_from_any_depth(run):
    def body() -> None:
        far = get("reg:y")

        def outer(x: Any) -> list[Any]:
            near = add(x, 1.0)

            def middle(i: Any, x: Any) -> list[Any]:
                def inner(x: Any) -> list[Any]:
                    put("reg:y", add(get("reg:y"), 1.0))
                    return [add(plus(x, far), add(near, i))]

                return cond_rows(above(near, 3.0), inner, [x])

            return repeat(2, middle, [x], label="twice")

        (x,) = call(outer, [get("reg:x")], label="inner pipeline")
        put("reg:x", x)

    graph = traced(body)
    out, meant = run(graph), X[:, 0] >= 2
    assert torch.equal(value(out, "x"), torch.where(meant[:, None], X + 2 * Y[:, None] + 2 * (X + 1) + 1, X))
    assert torch.equal(value(out, "y"), torch.where(meant, Y + 2, Y))
    text = show(graph)
    assert "inner pipeline" in text and "twice 2" in text and "reg_y'" in text


def test_a_lowered_copy_leaves_the_regions_of_the_graph_alone():
    def body() -> None:
        def outer(x: Any) -> list[Any]:
            def inner(x: Any) -> list[Any]:
                noted(x, "unused")
                return [add(x, 1.0)]

            return cond_rows(above(x, 0.0), inner, [x])

        (x,) = call(outer, [get("reg:x")], label="outer")
        put("reg:x", x)

    graph = traced(body)
    before = show(graph)
    other = copied(graph)
    assert dead_code(other) and "unused" in before and "unused" not in show(other)
    assert show(graph) == before


def test_a_view_inside_a_conditional_region_is_fed_by_its_rows_and_catches_up_later(run):
    """Row 0 is scored in the first step; rows 1 and 2 only in the second, with the whole text as their gap."""

    def step(least: float) -> fx.Graph:
        def body() -> None:
            def score(x: Any) -> list[Any]:
                logits, _ = forward("view:t", "seq", root=True)
                return [logits[:, 0]]

            (x,) = cond_rows(~above(get("reg:x"), least), score, [get("reg:x")])
            put("reg:x", x)
            append("seq", row_of(get("reg:y") * 0, get("reg:x")).long()[:, :1] + 2, (get("reg:y") * 0 + 1).long(), ())

        return traced(body)

    state = fresh()
    state["reg:x"] = Register(torch.arange(ROWS * VOCAB).view(ROWS, VOCAB).double())
    model, before = state["view:t"].model, state["reg:x"].value.clone()
    state = run(step(1.0), state)
    assert state["view:t"].cached.tolist() == [1, 0, 0]
    assert torch.equal(value(state, "x")[1:], before[1:]) and not state["view:t"].cache.buffer[:, :, 1:, :, :-1].any()
    state["reg:x"] = Register(before)
    state = run(step(100.0), state)
    assert state["view:t"].cached.tolist() == [2, 3, 4]  # the texts of that step; each now has one token more
    texts = ([1, 2], [2, 0, 2], [0, 2, 1, 2])
    right = torch.stack([model.from_scratch(model.embed(torch.tensor(text)))[-1] for text in texts])
    assert torch.allclose(value(state, "x"), right)


def test_the_enumerator_forks_inside_a_region_and_regathers_what_is_outside():
    def body() -> None:
        outside = get("reg:x")
        length, _, steps, key, _ = look("seq")

        def drawn(x: Any) -> list[Any]:
            token = race(torch.ones_like(x), key, "tests", "draw", (steps, length))
            return [row_of(token, x)]

        (x,) = cond_rows(above(outside, -1.0), drawn, [outside])
        put("reg:x", add(x, outside))

    graph = traced(body)
    one = {name: handle.take(torch.tensor([1])) for name, handle in fresh().items()}
    run = Worlds(torch.ones(1, dtype=torch.float64), torch.zeros(1, 0, dtype=torch.long), 1, {}, None)
    out = dict(zip(HANDLES, run.run(graph, [one[name] for name in HANDLES]), strict=True))
    assert torch.allclose(run.weight, torch.full((WIDTH,), 1 / WIDTH, dtype=torch.float64))
    assert torch.equal(value(out, "x"), X[1] + torch.arange(float(WIDTH))[:, None])
    assert torch.equal(value(out, "y"), Y[1].expand(WIDTH))


def test_a_region_that_means_no_row_draws_no_noise():
    def body() -> None:
        length, _, steps, key, _ = look("seq")

        def drawn(x: Any) -> list[Any]:
            return [row_of(race(torch.ones_like(x), key, "tests", "draw", (steps, length)), x)]

        (x,) = cond_rows(above(get("reg:x"), 9.0), drawn, [get("reg:x")])
        put("reg:x", x)

    graph, state = traced(body), fresh()
    run = Worlds(torch.ones(ROWS, dtype=torch.float64), torch.zeros(ROWS, 0, dtype=torch.long), 1, {}, None)
    run.run(graph, [state[name] for name in HANDLES])
    assert run.reads.shape[1] == 0 and len(run.weight) == ROWS
