"""The step of a canvas: draft a chain of them, denoise all, verify, commit the static step after the last right one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import fx

from penstock.ir import tracing
from penstock.ir.canvas import new_canvas
from penstock.ir.canvas_step import CanvasStep
from penstock.ir.errors import PenstockError
from penstock.ir.lift import Bound, lift
from penstock.ir.ops.canvas import branches, chain_verify, commit, worth_a_forward
from penstock.ir.ops.rows import at
from penstock.ir.ports import CanvasDraft
from penstock.ir.roles import SiteTransform
from penstock.ir.rows import State
from penstock.ir.standin import StandIn
from penstock.ir.state import new_view
from penstock.ir.trace import Tracer
from penstock.ir.types import EXAMPLE_ROWS
from penstock.passes.phases import only, placed
from penstock.passes.plan import Placed, Plan

PHASED = ("drafter", "denoiser", "transform", "unmasker")


def is_canvas(stages: Iterable[Any]) -> bool:
    """Whether these stages decode a canvas: one of them denoises."""
    return any(part.role == "denoiser" for stage in stages for part in stage.parts())


def canvas_phases(stages: Sequence[Any]) -> Plan:
    """requires: role parts. ensures: one denoiser, one unmasker, at most one drafter, and transforms of single positions."""
    parts = placed(stages)
    denoiser, unmasker = only(parts, "denoiser"), only(parts, "unmasker")
    if denoiser is None or unmasker is None:
        missing = "a denoiser" if denoiser is None else "an unmasker"
        raise PenstockError(
            f"a pipeline on a canvas needs {missing}", fix="write `denoiser.model: ...` and `unmasker.confidence:`"
        )
    for part in parts:
        refuse(part)
    compose = tuple(p for p in parts if p.stage.role == "transform" and not p.stage.greedy)
    notes = tuple(f"canvas: {p.name} is how an unmasker predicts anyway" for p in parts if p.stage.greedy)
    return Plan(parts, only(parts, "drafter"), (denoiser,), compose, compose, (), unmasker, "chain", notes)


def refuse(part: Placed) -> None:
    """Raises PenstockError for a stage that means nothing on a canvas, or not yet."""
    role, stages = part.stage.role, ", ".join(PHASED)
    if part.automaton:
        raise part.wrong(
            " follows a path, and a canvas is filled in any order", fix="leave it out, or decode left to right"
        )
    if role not in PHASED:
        raise part.wrong(f" is a {role}, which has no phase in a step of a canvas", fix=f"stages of such a step are {stages}")
    if part.stage.kind == "transform.temperature" and not part.stage.greedy:
        raise part.wrong(
            ": sampling on a canvas is lossless only with noise shared by drafts and steps, not there yet", fix="value: 0"
        )
    if role == "transform" and not isinstance(part.stage, SiteTransform):
        raise part.wrong(" reads more than one position of a canvas at once", fix="leave it out")


def example_canvas(views: Mapping[str, StandIn], vocab: int) -> State:
    """A small batch of canvases of unequal length, partly given, over stand-ins."""
    mask = vocab - 1
    rows = [[mask, 0, mask, mask, mask][: 3 + row % 3] for row in range(EXAMPLE_ROWS)]
    prompts = [[1] * (1 + row % 3) for row in range(EXAMPLE_ROWS)]
    state: State = {"canvas": new_canvas(rows, mask, key=torch.arange(EXAMPLE_ROWS))}
    for name, model in views.items():
        state[f"view:{name}"] = new_view(model, prompts, 5)  # type: ignore[arg-type]
    return state


def canvas_graph(plan: Plan, views: Mapping[str, StandIn], eos: tuple[int, ...]) -> tuple[fx.Graph, tuple[str, ...]]:
    """The step over stand-ins, and its handles in order."""
    vocab = next(iter(views.values())).vocab
    example = example_canvas(views, vocab)
    tracer = Tracer(example, vocab)
    with tracing.recording(tracer):
        trace_canvas(CanvasStep(tracer, vocab), plan, eos)
        return tracer.finish(tuple(example)), tuple(example)


def trace_canvas(step: CanvasStep, plan: Plan, eos: tuple[int, ...]) -> None:
    """Draft, denoise, compose, predict, verify, commit."""
    denoiser, unmasker, traced = plan.scorers[-1], plan.acceptor, step.tracer
    assert unmasker is not None
    draft = drafted(step, plan.drafter)
    with traced.stage_of(denoiser.name, denoiser.source):
        logits = composed(step, plan, denoiser.stage.denoise(step, draft, denoiser.name))
    with traced.stage_of(unmasker.name, unmasker.source):
        x0, conf = step.predict(unmasker.stage, logits)
        targets = step.unmask(unmasker.stage, draft.tokens, x0, conf)
    with traced.stage_of("accept"):
        accepted = chain_verify(draft.tokens, targets, draft.valid)
        target, carried = at(targets, accepted), at((x0, conf), accepted)
    with traced.stage_of("state"):
        commit("canvas", target, carried, draft.tokens, accepted, eos)


def drafted(step: CanvasStep, drafter: Placed | None) -> CanvasDraft:
    """The drafter's chain; without one, the canvas itself."""
    if drafter is None:
        tokens = branches(step.tokens)
        return CanvasDraft(tokens, worth_a_forward(step.open(tokens), step.ready))
    with step.tracer.stage_of(drafter.name, drafter.source):
        draft: CanvasDraft = drafter.stage.propose(step, drafter.name)
        return draft


def composed(step: CanvasStep, plan: Plan, logits: Any) -> Any:
    """The logits ``[b,d,l,v]`` after every transform, each at every position of every branch."""
    for p in plan.accepted:
        with step.tracer.stage_of(p.name, p.source, origin="lift"):
            logits = lift(Bound(p.stage), "transform", logits, lead=3)
    return logits
