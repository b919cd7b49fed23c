"""The step of a canvas: draft a chain of them, denoise all, verify, commit the static step after the last right one."""

from collections.abc import Iterable, Sequence
from typing import Any

from penstock.ir.canvas import Canvas, new_canvas
from penstock.ir.canvas_step import CanvasStep
from penstock.ir.errors import PenstockError
from penstock.ir.lift import lift
from penstock.ir.ops.canvas import branches, chain_verify, commit, worth_a_forward
from penstock.ir.ops.rows import at
from penstock.ir.ports import CanvasDraft
from penstock.ir.roles import SiteTransform
from penstock.ir.trace import Tracer
from penstock.passes.begin import Beginning
from penstock.passes.buckets import Bucket
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
    compose = tuple(p for p in parts if p.stage.role == "transform" and not p.stage.one_hot)
    notes = tuple(f"canvas: {p.name} is how an unmasker predicts anyway" for p in parts if p.stage.one_hot)
    return Plan(parts, only(parts, "drafter"), (denoiser,), compose, compose, (), unmasker, "chain", "canvas", notes)


def refuse(part: Placed) -> None:
    """Raises PenstockError for a stage that means nothing on a canvas, or not yet."""
    role, stages = part.stage.role, ", ".join(PHASED)
    if part.automaton:
        raise part.wrong(
            " follows a path, and a canvas is filled in any order", fix="leave it out, or decode left to right"
        )
    if role not in PHASED:
        raise part.wrong(f" is a {role}, which has no phase in a step of a canvas", fix=f"stages of such a step are {stages}")
    if part.stage.kind == "transform.temperature" and not part.stage.one_hot:
        raise part.wrong(
            ": sampling on a canvas is lossless only with noise shared by drafts and steps, not there yet", fix="value: 0"
        )
    if role == "transform" and not isinstance(part.stage, SiteTransform):
        raise part.wrong(" reads more than one position of a canvas at once", fix="leave it out")


def begin_canvas(plan: Plan, rows: Beginning) -> Canvas:
    """Canvases to fill, by default all mask. Raises PenstockError where the denoiser's model has no mask."""
    (denoiser,) = plan.scorers
    models = [rows.models[view] for view in denoiser.stage.views()]
    mask = models[0].mask
    if mask is None:
        raise denoiser.wrong(
            f" fills a canvas with {models[0].name}, whose tokenizer has no mask token",
            fix="name a model that was trained as a masked diffusion model",
        )
    canvases = [[mask] * r.limit if r.canvas is None else list(r.canvas) for r in rows.requests]
    return new_canvas(canvases, mask, key=rows.key, block=denoiser.stage.block, params=rows.params)


def trace_canvas(tracer: Tracer, plan: Plan, eos: tuple[int, ...], bucket: Bucket | None) -> None:
    """Draft, denoise, compose, predict, verify, commit."""
    step = CanvasStep(tracer, tracer.vocab)
    denoiser, unmasker, traced = plan.scorers[-1], plan.acceptor, tracer
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
        commit("seq", target, carried, draft.tokens, accepted, eos)


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
            logits = lift(p.bound(step), "transform", logits, lead=3)
    return logits
