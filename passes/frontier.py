"""The step of a frontier: a search stage extends all hypotheses at once, each by its own path's transforms."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from penstock.ir import tracing
from penstock.ir.frontier import new_frontier
from penstock.ir.lift import advanced
from penstock.ir.ops.frontier import all_tokens, extend, extensions, spread, worth
from penstock.ir.ops.rows import at_each
from penstock.ir.ops.sequence import put
from penstock.ir.roles import SiteTransform
from penstock.ir.rows import State
from penstock.ir.standin import StandIn
from penstock.ir.state import Register, new_view
from penstock.ir.step import Step, transformed
from penstock.ir.trace import Tracer
from penstock.ir.types import EXAMPLE_ROWS
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
    return Plan(parts, None, (search,), compose, compose)


def refuse(part: Placed, search: Placed) -> None:
    """Raises PenstockError for a stage that means nothing on a frontier, or not yet."""
    if part.stage.role == "drafter":
        raise part.wrong(
            f" drafts, and {search.name} decodes a frontier, whose one cache holds no hypothesis' own text", fix="leave it out"
        )
    follows = part.automaton and part.has("read") and not part.has("end") and not part.stage.raw_wanted
    if part is not search and not follows and not isinstance(part.stage, SiteTransform):
        raise part.wrong(
            f" has no place in a step of {search.name}, which decodes a frontier",
            fix="beside the search stand only transforms: of single sites, or along paths without an end of their own",
        )


def frontier_state(plan: Plan, prompts: Mapping[str, Sequence[Sequence[int]]], models: Mapping[str, Any], limit: Any) -> State:
    """New groups on prompts by view; path states by hypothesis."""
    (search,) = plan.scorers
    rows, room, width = [list(p) for p in next(iter(prompts.values()))], int(torch.as_tensor(limit).max()) + 1, search.stage.width
    state: State = {"seq": new_frontier(len(rows), width, room, key=torch.arange(len(rows)), limit=limit)}
    for name, model in models.items():
        state[f"view:{name}"] = new_view(model, [list(p) for p in prompts[name]], room)
    vocab = next(iter(models.values())).vocab
    for p in (p for p in plan.accepted if p.automaton):
        each = [p.stage.start(prompt, vocab) for prompt in rows for _ in range(width)]
        values = pytree.tree_map(lambda *leaf: torch.stack(leaf).view(-1, width, *leaf[0].shape), *each)
        state[f"reg:{p.name}"] = Register(values)
    return state


def frontier_graph(plan: Plan, views: Mapping[str, StandIn], eos: tuple[int, ...]) -> tuple[fx.Graph, tuple[str, ...]]:
    """The step over stand-ins, and its handles in order."""
    prompts = {name: [[1] * (1 + row % 3) for row in range(EXAMPLE_ROWS)] for name in views}
    example = frontier_state(plan, prompts, views, 8)
    tracer = Tracer(example, next(iter(views.values())).vocab)
    with tracing.recording(tracer):
        trace_frontier(Step(tracer, tracer.vocab), plan, eos)
        return tracer.finish(tuple(example)), tuple(example)


def trace_frontier(step: Step, plan: Plan, eos: tuple[int, ...]) -> None:
    """Propose, compose by hypothesis, extend and prune, then let the search prepare its views."""
    (search,) = plan.scorers
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
