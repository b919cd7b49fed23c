"""Certify: a pipeline's law against its reference's and against a text oracle's, with what the proof exercised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from penstock.backends.enumerate.law import Enumerated, Law, enumerate_law, total_variation
from penstock.backends.enumerate.oracle import TextModels, text_law
from penstock.backends.runtime.table import TableModel
from penstock.ir.errors import PenstockError
from penstock.ir.standin import StandIn
from penstock.ir.state import new_sequence, new_view
from penstock.passes.build import StepGraph, build, registers_of
from penstock.passes.plan import Plan

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Small:
    """The small world a pipeline is certified in: table models by view, prompts by view (row 0 is enumerated, the rest raced)."""

    models: Mapping[str, TableModel]
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

    @property
    def holds(self) -> bool:
        return self.against_reference <= TOLERANCE and self.against_text <= TOLERANCE

    @property
    def not_exercised(self) -> tuple[str, ...]:
        """Draws that no world made with positive weight, or only ever with one possible outcome."""
        return tuple(sorted(label for label, weight in self.found.coverage.items() if not weight > 0))

    def report(self) -> str:
        verdict = "exact" if self.holds else "NOT exact"
        lines = [
            f"{verdict}: total variation {self.against_reference:.2e} to the reference, "
            f"{self.against_text:.2e} to the text oracle",
            f"{len(self.found.law)} texts, at most {self.found.worlds} worlds at once, {self.found.steps} steps, "
            f"{self.found.columns} forward columns checked against one from scratch",
            f"exercised: {len(self.found.coverage) - len(self.not_exercised)} of {len(self.found.coverage)} kinds of draw",
        ]
        return "\n".join(lines + [f"not exercised: {label}" for label in self.not_exercised])


def step_of(plan: Plan, small: Small) -> StepGraph:
    """A plan's step over the small world's models."""
    facts = {v: StandIn(m.name, m.vocab, m.width, m.layers, m.capabilities) for v, m in small.models.items()}
    wanted = {view for p in plan.stages for view in p.stage.views()} or set(facts)
    return build(plan, {v: f for v, f in facts.items() if v in wanted}, eos=small.eos)


def law_of(plan: Plan, small: Small) -> Enumerated:
    """The law of a plan in a small world."""
    step, rows = step_of(plan, small), small.rows
    if "seq" not in step.handles:
        raise PenstockError(
            "a step on a canvas draws nothing: there is no distribution to enumerate",
            fix="compare its tokens with the reference's",
        )
    room = small.limit + step.nodes + 1
    state = {"seq": new_sequence(rows, room, key=torch.arange(rows) + 7, limit=small.limit)}
    for name in (h for h in step.handles if h.startswith("view:")):
        view = name.removeprefix("view:")
        state[name] = new_view(small.models[view], [list(p) for p in small.prompts[view]], room)  # type: ignore[assignment]
    first = next(iter(small.prompts))
    vocab = next(iter(small.models.values())).vocab
    state |= registers_of(plan, [list(p) for p in small.prompts[first]], vocab)  # type: ignore[arg-type]
    return enumerate_law(step, state, group=rows)  # type: ignore[arg-type]


def oracle_of(plan: Plan, small: Small) -> Law:
    """The text oracle's law of the reference."""
    texts = TextModels(small.models, {view: prompts[0] for view, prompts in small.prompts.items()})
    return text_law(plan, texts, eos=small.eos, limit=small.limit)


def certify(plan: Plan, reference: Plan, small: Small) -> Certificate:
    """Prove a plan exact relative to its reference in a small world, or find by how much it is not."""
    found = law_of(plan, small)
    truth = law_of(reference, small).law
    return Certificate(total_variation(found.law, truth), total_variation(found.law, oracle_of(reference, small)), found)
