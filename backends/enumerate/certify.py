"""Certify: a pipeline's law against its reference's and against a text oracle's, with what the proof exercised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.backends.enumerate.fill import fill_law, fill_text
from penstock.backends.enumerate.law import Enumerated, Law, enumerate_law, total_variation
from penstock.backends.enumerate.oracle import TextModels, text_law
from penstock.backends.enumerate.pathwise import KEYS, same_tokens
from penstock.ir.errors import PenstockError
from penstock.ir.runner import Request
from penstock.ir.standin import StandIn
from penstock.passes.build import StepGraph, build
from penstock.passes.kinds import new_state
from penstock.passes.plan import Plan

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Small:
    """The small world a pipeline is certified in: table models by view, prompts by view (row 0 is enumerated, the rest raced).

    On a canvas nothing is drawn, and every row counts.
    """

    models: Mapping[str, Any]
    prompts: Mapping[str, Sequence[Sequence[int]]]
    eos: tuple[int, ...] = ()
    limit: int = 3

    @property
    def rows(self) -> int:
        return len(next(iter(self.prompts.values())))


@dataclass(frozen=True)
class Certificate:
    """What was proven, and what the proof reached."""

    against_reference: float
    """Total variation to the reference pipeline."""
    against_text: float
    """Total variation to the text oracle."""
    found: Enumerated
    approximating: tuple[str, ...] = ()
    """Stages for whose sake the pipeline promises nothing more than what was computed here."""
    same_tokens: bool | None = None
    """Whether equal keys give the reference's very tokens, where drafts share the noise of the selections."""

    @property
    def exact(self) -> bool:
        """Whether the law found is the reference's, and the text oracle's."""
        return self.against_reference <= TOLERANCE and self.against_text <= TOLERANCE and self.same_tokens is not False

    @property
    def holds(self) -> bool:
        """Whether the pipeline keeps its promise."""
        return self.exact or bool(self.approximating)

    @property
    def not_exercised(self) -> tuple[str, ...]:
        """Draws that no world made with positive weight, or only ever with one possible outcome."""
        return tuple(sorted(label for label, weight in self.found.coverage.items() if not weight > 0))

    def report(self) -> str:
        verdict = "exact" if self.exact else "NOT exact"
        if self.approximating:
            verdict = f"approximate, because of {', '.join(self.approximating)}"
        lines = [
            f"{verdict}: total variation {self.against_reference:.2e} to the reference, "
            f"{self.against_text:.2e} to the text oracle",
            f"{len(self.found.law)} texts, at most {self.found.worlds} worlds at once, {self.found.steps} steps, "
            f"{self.found.columns} forward columns checked against one from scratch",
            f"exercised: {len(self.found.coverage) - len(self.not_exercised)} of {len(self.found.coverage)} kinds of draw"
            if self.found.coverage
            else "nothing is drawn: every row has one text",
        ]
        if self.same_tokens is not None:
            lines.append(f"{'the' if self.same_tokens else 'NOT the'} reference's very tokens, key by key, of {KEYS} keys")
        return "\n".join(lines + [f"not exercised: {label}" for label in self.not_exercised])


def step_of(plan: Plan, small: Small) -> StepGraph:
    """A plan's step over the small world's models."""
    facts = {v: StandIn.of(m) for v, m in small.models.items()}
    wanted = {view for p in plan.stages for view in p.stage.views()} or set(facts)
    return build(plan, {v: f for v, f in facts.items() if v in wanted}, eos=small.eos)


def requests_of(plan: Plan, small: Small) -> list[Request]:
    """One request a row; of canvases, which differ in length, all but the first few have a token given."""
    rows = [{view: prompts[row] for view, prompts in small.prompts.items()} for row in range(small.rows)]
    if plan.kind != "canvas":
        return [Request(prompts, small.limit) for prompts in rows]
    mask = next(model.mask for model in small.models.values())
    canvases = [[mask] * (small.limit + row // 4 % 2) for row in range(small.rows)]
    for row, canvas in enumerate(canvases[4:], 4):
        canvas[row % len(canvas)] = row % mask
    return [Request(prompts, len(canvas), canvas=canvas) for prompts, canvas in zip(rows, canvases, strict=True)]


def law_of(plan: Plan, small: Small) -> Enumerated:
    """The law of a plan in a small world."""
    step = step_of(plan, small)
    if plan.kind == "frontier":
        raise PenstockError("a search draws nothing: there is no distribution", fix="compare its texts with an oracle's")
    models = {view: model for view, model in small.models.items() if f"view:{view}" in step.handles}
    state = new_state(plan, requests_of(plan, small), models, range(7, 7 + small.rows), step.nodes)
    return fill_law(step, state) if plan.kind == "canvas" else enumerate_law(step, state, group=small.rows)


def oracle_of(plan: Plan, small: Small) -> Law:
    """The text oracle's law of the reference."""
    if plan.kind == "canvas":
        return fill_text(plan, next(iter(small.models.values())), requests_of(plan, small))
    texts = TextModels(small.models, {view: prompts[0] for view, prompts in small.prompts.items()})
    return text_law(plan, texts, eos=small.eos, limit=small.limit)


def certify(plan: Plan, reference: Plan, small: Small) -> Certificate:
    """Prove a plan exact relative to its reference in a small world, or find by how much it is not."""
    found = law_of(plan, small)
    apart = [total_variation(found.law, law) for law in (law_of(reference, small).law, oracle_of(reference, small))]
    same = None
    if plan.foreseen:
        rows = [{view: list(prompts[row]) for view, prompts in small.prompts.items()} for row in range(small.rows)]
        same = same_tokens(step_of(plan, small), step_of(reference, small), small.models, rows, small.limit)
    return Certificate(*apart, found, plan.approximating, same)
