"""The order of passes: the only place where it is written."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from torch import fx

from penstock.ir.region import copied
from penstock.passes.buckets import buckets
from penstock.passes.canvas import canvas_phases, is_canvas
from penstock.passes.frontier import frontier_phases, is_frontier
from penstock.passes.greedy_rule import greedy_rule
from penstock.passes.hoist_masks import hoist_masks
from penstock.passes.mirror import mirror
from penstock.passes.optimise.argmax_invariance import ARGMAX_INVARIANCE
from penstock.passes.optimise.equal_forwards import EQUAL_FORWARDS
from penstock.passes.optimise.fuse_sampling import FUSE_SAMPLING
from penstock.passes.optimise.narrow import NARROW
from penstock.passes.optimise.optimisation import Pass, Ran, chosen, optimise
from penstock.passes.optimise.overlap import OVERLAP
from penstock.passes.optimise.plan_cache import PLAN_CACHE
from penstock.passes.optimise.share_forwards import SHARE_FORWARDS
from penstock.passes.optimise.simplify import SIMPLIFY
from penstock.passes.phases import phases
from penstock.passes.plan import Plan
from penstock.passes.sink_accept import sink_accept

ELABORATION: tuple[Callable[[Plan], Plan], ...] = (
    hoist_masks,
    greedy_rule,  # last of the acceptor's order; both before mirror, so that the drafter follows it
    mirror,
    sink_accept,
    buckets,
)

OPTIMISATION: tuple[Pass, ...] = (
    SIMPLIFY,  # first: it tells the others what temperature 0 is
    ARGMAX_INVARIANCE,
    EQUAL_FORWARDS,
    SHARE_FORWARDS,  # of what is left
    NARROW,  # what is left of a top-k is one that something is drawn from
    FUSE_SAMPLING,  # walks over what was narrowed
    OVERLAP,  # it begins before the calls that are left
    PLAN_CACHE,  # of what they feed
)


def elaborate(stages: Sequence[Any]) -> Plan:
    """A pipeline's stages as the plan of one step."""
    if is_canvas(stages):
        return canvas_phases(stages)
    if is_frontier(stages):
        return frontier_phases(stages)
    plan = phases(stages)
    for run in ELABORATION:
        plan = run(plan)
    return plan


def optimised(graph: fx.Graph, without: Collection[str] = (), *, telling: bool = False) -> tuple[fx.Graph, list[Ran]]:
    """A copy of a step graph after every optimisation but those named, and what each did; see `optimise`."""
    passes, new = chosen(OPTIMISATION, without), copied(graph)
    return new, optimise(new, passes, telling=telling)
