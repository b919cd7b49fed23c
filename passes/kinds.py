"""The kinds of state that pipelines decode, and all that differs between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.ir.rows import State
from penstock.ir.runner import Request
from penstock.ir.state import Sequence as Decoded, new_view
from penstock.ir.trace import Tracer
from penstock.passes.begin import Beginning, beginning, registers_of
from penstock.passes.buckets import Bucket
from penstock.passes.canvas import begin_canvas, trace_canvas
from penstock.passes.frontier import begin_frontier, trace_frontier
from penstock.passes.plan import Plan
from penstock.passes.sequence import begin_sequence, trace_sequence


@dataclass(frozen=True)
class Kind:
    """How rows of one kind begin, and how their step is traced."""

    begin: Callable[[Plan, Beginning], Decoded]
    trace: Callable[[Tracer, Plan, tuple[int, ...], Bucket | None], None]


KINDS = {
    "sequence": Kind(begin_sequence, trace_sequence),
    "canvas": Kind(begin_canvas, trace_canvas),
    "frontier": Kind(begin_frontier, trace_frontier),
}


def new_state(
    plan: Plan, requests: Sequence[Request], models: Mapping[str, Any], keys: Sequence[int], nodes: int
) -> State:
    """A batch of one row a request, over models by view: the sequence, its views with nothing cached, its registers."""
    rows = beginning(requests, models, keys, nodes)
    views = {f"view:{name}": new_view(model, rows.prompts(name), rows.room) for name, model in models.items()}
    hypotheses = plan.scorers[0].stage.width if plan.kind == "frontier" else None
    return {"seq": KINDS[plan.kind].begin(plan, rows), **views, **registers_of(plan, rows, hypotheses)}
