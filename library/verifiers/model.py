"""The target model, and how its verdict on a draft is reached."""

from typing import Any, ClassVar, Literal, Self

from penstock.dsl.stage import Effect, Role, Stage
from penstock.ir.ports import Scored


class ModelScorer(Stage):
    """Scores the root and every draft node with one forward of the target."""

    kind: ClassVar[str] = "verifier.model"
    role: ClassVar[Role] = Role.SCORER
    effect: ClassVar[Effect] = Effect.STEERS

    model: str
    view: str = "target"

    def views(self) -> dict[str, str]:
        return {self.view: self.model}

    def score(self, step: Any, stage: str) -> Scored:
        scored: Scored = step.score(self.view)
        return scored
