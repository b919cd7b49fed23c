"""The step of a frontier: a search stage extends all hypotheses at once, each by its own path's transforms."""

from collections.abc import Iterable, Sequence
from typing import Any

from penstock.ir.frontier import Frontier, new_frontier
from penstock.ir.lift import advanced
from penstock.ir.ops.frontier import all_tokens, extend, extensions, spread, worth
from penstock.ir.ops.rows import at_each
from penstock.ir.ops.sequence import put
from penstock.ir.roles import SiteTransform
from penstock.ir.step import Step, transformed
from penstock.ir.trace import Tracer
from penstock.passes.begin import Beginning
from penstock.passes.buckets import Bucket
from penstock.passes.phases import only, placed
from penstock.passes.plan import Placed, Plan


def is_frontier(stages: Iterable[Any]) -> bool:
    """Whether these stages decode a frontier: one of them extends several hypotheses."""
    return any(hasattr(part, "extend_group") for stage in stages for part in stage.parts())


def frontier_phases(stages: Sequence[Any]) -> Plan:
    """requires: role parts. ensures: one search and transforms of single sites or along paths."""
    parts = placed(stages)
    search = only(parts, "scorer")
    assert search is not None
    for part in parts:
        refuse(part, search)
    compose = tuple(p for p in parts if p.stage.role == "transform")
    return Plan(parts, None, (search,), compose, compose, kind="frontier")


def refuse(part: Placed, search: Placed) -> None:
    """Raises PenstockError for a stage that means nothing on a frontier, or not yet."""
    if part.stage.role == "drafter":
        raise part.wrong(
            f" drafts, and {search.name} decodes a frontier, whose one cache holds no hypothesis' own text", fix="leave it out"
        )
    follows = part.automaton and part.has("read") and not part.has("end") and not part.stage.raw_wanted
    shapes = part.stage.role == "transform" and (follows or isinstance(part.stage, SiteTransform))
    if part is not search and not shapes:
        raise part.wrong(
            f" has no place in a step of {search.name}, which decodes a frontier",
            fix="beside the search stand only transforms: of single sites, or along paths without an end of their own",
        )


def begin_frontier(plan: Plan, rows: Beginning) -> Frontier:
    """Groups of empty texts."""
    (search,) = plan.scorers
    return new_frontier(len(rows.key), search.stage.width, rows.room, key=rows.key, limit=rows.limit, params=rows.params)


def trace_frontier(tracer: Tracer, plan: Plan, eos: tuple[int, ...], bucket: Bucket | None) -> None:
    """Propose, compose by hypothesis, extend and prune, then let the search prepare its views."""
    step, (search,) = Step(tracer, tracer.vocab), plan.scorers
    traced, width = step.tracer, search.stage.width
    with traced.stage_of(search.name, search.source):
        token, log_f = search.stage.extend_group(step, search.name)
    if plan.accepted:
        log_f = composed(step, plan, spread(log_f, token, step.vocab))
        token = all_tokens(log_f)
    with traced.stage_of("prune"):
        parent, token, score = extensions(worth("seq"), log_f, token, 2 * width)
        parent, token = extend("seq", parent, token, score, eos)
    for p in (p for p in plan.accepted if p.automaton):
        with traced.stage_of(p.name, p.source):
            put(f"reg:{p.name}", advanced(p.bound(step), at_each(step.read(p.name), parent), token, None))
    with traced.stage_of(search.name, search.source):
        search.stage.settle(step, search.name)


def composed(step: Step, plan: Plan, logits: Any) -> Any:
    """Transforms at every hypothesis, by its own path state."""
    for p in plan.accepted:
        with step.tracer.stage_of(p.name, p.source, origin="lift"):
            logits = transformed(step, p, logits, step.read(p.name) if p.automaton else None)
    return logits
