"""FreeDave: the predictions that a static step was made of draft the next ones, and one batched forward verifies them all."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage, StageField
from penstock.ir.ops.canvas import branches, worth_a_forward
from penstock.ir.ports import CanvasDraft
from penstock.library.unmaskers.confidence import Confidence


class NestedDrafts(Stage):
    """Canvas after canvas, each the unmasker's step from the one before, by the carried predictions instead of a forward."""

    kind: ClassVar[str] = "drafter.nested_canvases"
    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"

    unmasker: StageField
    """The static step to foresee."""
    drafts: Annotated[int, Field(ge=1, le=64)]
    """Canvases a forward verifies, the one that the row stands at included."""

    def propose(self, step: Any, stage: str) -> CanvasDraft:
        chain = [step.tokens]
        for _ in range(self.drafts - 1):
            chain.append(step.unmask(self.unmasker, chain[-1], step.x0, step.conf))
        tokens = branches(*chain)
        return CanvasDraft(tokens, worth_a_forward(step.open(tokens), step.ready))


class FreeDave(Stage):
    """Several steps of any deterministic unmasker at once (FreeDave, arXiv 2510.00294): the same tokens, never more forwards."""

    kind: ClassVar[str] = "unmasker.freedave"
    role: ClassVar[Role] = "unmasker"
    effect: ClassVar[Effect] = "accelerates"

    unmasker: StageField = Field(default_factory=Confidence)
    """The static step that is accelerated."""
    drafts: Annotated[int, Field(ge=1, le=64)] = 4
    """Canvases a forward verifies."""

    @property
    def static(self) -> Stage:
        """The unmasker; one that nobody wrote is declared where this stage is."""
        return self.unmasker if "unmasker" in self.model_fields_set else self.here(self.unmasker)

    def parts(self) -> tuple[Stage, ...]:
        return self.here(NestedDrafts(unmasker=self.static, drafts=self.drafts)), *self.static.parts()

    def reference(self) -> Stage:
        return self.static

    def small(self, v: int) -> "FreeDave":
        return FreeDave(unmasker=self.unmasker.small(v), drafts=min(self.drafts, 3))
