"""Trace a plan into the graph of one step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

from torch import fx

from penstock.ir import tracing
from penstock.ir.rows import State
from penstock.ir.runner import Request
from penstock.ir.standin import StandIn
from penstock.ir.state import RUNNING
from penstock.ir.trace import Tracer
from penstock.ir.types import EXAMPLE_ROWS
from penstock.passes.buckets import Bucket, bucket_of, decision_of
from penstock.passes.capabilities import check_capabilities
from penstock.passes.kinds import KINDS, new_state
from penstock.passes.plan import Plan


@dataclass(frozen=True)
class StepGraph:
    """One step of a pipeline: ``state[handles] -> state[handles]``."""

    graph: fx.Graph
    handles: tuple[str, ...]
    plan: Plan
    nodes: int
    """In-step nodes that views make room for."""
    eos: tuple[int, ...]
    decision: str | None = None
    """The register whose value picks the graph of the next step, where a stage has its steps traced by bucket."""
    at: Callable[[Bucket], "StepGraph"] | None = None
    """The step of another bucket, over the same state."""


def build(
    plan: Plan,
    views: Mapping[str, StandIn],
    *,
    eos: tuple[int, ...] = (),
    texts: Mapping[str, int] | None = None,
    bucket: Bucket | None = None,
) -> StepGraph:
    """Trace one step over stand-ins of the views' models. Raises PenstockError at the author's line.

    ``texts``: a number a view; views of one number are of one model and begin with the same text in every row. Where a stage's
    Decision picks the bucket, the step of ``bucket``, by default the one that a new batch starts with.
    """
    check_capabilities(plan, views)
    example, decision = example_state(plan, views), decision_of(plan)
    if decision is not None and bucket is None:
        bucket = bucket_of(example[decision], [RUNNING] * EXAMPLE_ROWS)
    tracer = Tracer(example, next(iter(views.values())).vocab)
    with tracing.recording(tracer):
        KINDS[plan.kind].trace(tracer, plan, eos, bucket)
        graph = tracer.finish(tuple(example))
    for name, node in zip(example, graph.nodes, strict=False):  # a step's parameters come first
        node.meta["text"] = (texts or {}).get(name.removeprefix("view:"))
    again = partial(build, plan, views, eos=eos, texts=texts)
    return StepGraph(graph, tuple(example), plan, plan.room, eos, decision, cache(lambda other: again(bucket=other)))


def example_state(plan: Plan, views: Mapping[str, StandIn]) -> State:
    """A small batch of rows of unequal prompts, over stand-ins, that steps are traced on."""
    params = dict.fromkeys(plan.params, 1.0)
    mask = next((view.mask for view in views.values() if view.mask is not None), 0)
    prompts = [[1] * (1 + row % 3) for row in range(EXAMPLE_ROWS)]
    canvases = [[mask, 0, mask, mask, mask][: 3 + row % 3] for row in range(EXAMPLE_ROWS)]
    requests = [
        Request(dict.fromkeys(views, prompt), 8, params=params, canvas=canvas if plan.kind == "canvas" else None)
        for prompt, canvas in zip(prompts, canvases, strict=True)
    ]
    return new_state(plan, requests, views, range(EXAMPLE_ROWS), plan.room)
