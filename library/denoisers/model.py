"""The model that predicts a canvas."""

from typing import Any, ClassVar

from penstock.dsl.names import ModelName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage


class ModelDenoiser(Stage):
    """Predicts all positions of every branch with one forward of a bidirectional model; nothing is cached between steps."""

    kind: ClassVar[str] = "denoiser.model"
    role: ClassVar[Role] = "denoiser"
    effect: ClassVar[Effect] = "steers"
    needs: ClassVar[frozenset[str]] = frozenset({"bidirectional"})

    model: ModelName
    """The model."""

    def views(self) -> dict[str, str]:
        return {self.model: self.model}

    def denoise(self, step: Any, draft: Any, stage: str) -> Any:
        return step.denoise(self.model, draft.tokens, draft.valid)

    def small(self, v: int) -> "ModelDenoiser":
        return self
