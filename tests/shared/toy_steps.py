"""Toy steps for tests of regions: two registers, one view, three rows, and every way to run a graph over them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from penstock.backends.eager.lower import lower
from penstock.backends.enumerate.worlds import Worlds
from penstock.backends.interpret import Interpreter
from penstock.backends.runtime.table import TableModel
from penstock.ir import tracing
from penstock.ir.op import op
from penstock.ir.ops.sequence import look
from penstock.ir.rows import State
from penstock.ir.standin import StandIn
from penstock.ir.state import LENGTH, Register, new_sequence, new_view
from penstock.ir.trace import Tracer
from penstock.passes.build import StepGraph, example_state
from penstock.passes.lint import linear, row_wise
from penstock.passes.plan import Plan

ROWS, WIDTH, VOCAB = 3, 3, 3
HANDLES = ("seq", "view:t", "reg:x", "reg:y")
X, Y = 2 * torch.arange(3.0)[:, None] + torch.arange(3.0), torch.tensor([1.0, 10.0, 100.0])
ran: list[str] = []


@op()
def add(a: Any, b: Any) -> Any:
    """``a + b``."""
    return a + b


@op()
def noted(x: Tensor, name: str) -> Tensor:
    """x itself; remembers that it was run."""
    ran.append(name)
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
    state = example_state(Plan(()), {"t": StandIn("t", VOCAB)})
    state |= {"reg:x": Register(torch.zeros(7, WIDTH)), "reg:y": Register(torch.zeros(7))}
    tracer = Tracer(state, VOCAB)
    with tracing.recording(tracer):
        _, tracer.live, *_ = look("seq")
        body()
        graph = tracer.finish(HANDLES)
    linear(graph)
    row_wise(graph)
    ran.clear()
    return graph


def fresh(dead: tuple[int, ...] = ()) -> State:
    """Rows with prompts of 1, 2 and 3 tokens; some have ended."""
    seq = new_sequence(ROWS, 8, key=torch.arange(ROWS), limit=6)
    seq.status[list(dead)] = LENGTH
    view = new_view(TableModel(VOCAB, 1), [[1], [2, 0], [0, 2, 1]], 8)
    return {"seq": seq, "view:t": view, "reg:x": Register(X.clone()), "reg:y": Register(Y.clone())}


def worlds(graph: fx.Graph, args: list[Any]) -> Any:
    return Worlds(torch.ones(1, dtype=torch.float64), torch.zeros(ROWS, 0, dtype=torch.long), ROWS, {}, None).run(graph, args)


RUNNERS: dict[str, Callable[[fx.Graph, list[Any]], Any]] = {
    "interpreted": lambda graph, args: Interpreter().run(graph, args),
    "lowered": lambda graph, args: lower(StepGraph(graph, HANDLES, Plan(()), 4, ()))(*args),
    "enumerated": worlds,
}


def through(runner: Callable[[fx.Graph, list[Any]], Any], graph: fx.Graph, state: State | None = None) -> State:
    """The state after a graph has run once over it, by default over fresh rows."""
    state = fresh() if state is None else state
    return dict(zip(HANDLES, runner(graph, [state[name] for name in HANDLES]), strict=True))


everywhere = pytest.mark.parametrize("run", [partial(through, runner) for runner in RUNNERS.values()], ids=list(RUNNERS))
"""Whoever runs it."""


def value(state: State, name: str) -> Tensor:
    return state[f"reg:{name}"].value
