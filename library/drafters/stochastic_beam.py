"""Stochastic beam search drafts: RSD-S (arXiv 2402.14160)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.names import ModelName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.draft import Growth
from penstock.ir.ops.beam import beam_race, beam_root, offspring, or_void
from penstock.ir.ops.rows import join
from penstock.ir.ports import Draft


class StochasticBeam(Stage):
    """A tree of sequences drawn from a draft model without replacement, so that none is drawn twice (RSD-S, arXiv 2402.14160).

    Siblings are in the order of their perturbed scores, which is the order of a draw without replacement.
    """

    kind: ClassVar[str] = "drafter.stochastic_beam"
    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"
    law: ClassVar[str] = "without_replacement"

    model: ModelName
    width: Annotated[int, Field(ge=1, le=64)] = 3
    """Nodes a level: of all children of the last level, those that arrive first."""
    length: Annotated[int, Field(ge=1, le=64)] = 4
    """Levels."""
    mirror: bool = True
    """Draw from the draft model under the target's own transforms."""

    @property
    def room(self) -> int:
        """In-step nodes that views need slots for."""
        return self.width * self.length

    @property
    def seat(self) -> str:
        """The name of its view: a cache of its own, even where the target is the same model."""
        return f"draft:{self.model}"

    def views(self) -> dict[str, str]:
        return {self.seat: self.model}

    def propose(self, step: Any, stage: str) -> Draft:
        growth, levels, valid = Growth(step, self.seat, stage), [], None
        for level in range(self.length):
            if level:
                growth.feed()
            q, fertile = or_void(growth.distribution())
            if not level:
                phi = psi = beam_root(q)
            count = min(self.width, len(growth.tips) * step.vocab)
            place, token, phi, psi = beam_race(q, phi, psi, step.key, stage, "draft", (step.steps, level), width=count)
            valid = offspring(psi, place, fertile, valid)
            growth.graft(token, place, q, count)
            levels.append(valid)
        return growth.finish("without_replacement", width=self.width, valid=join(*levels))

    def small(self, v: int) -> "StochasticBeam":
        return self.model_copy(update={"width": min(self.width, 2), "length": min(self.length, 2)})
