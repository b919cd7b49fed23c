"""The model that predicts a canvas."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

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
    """A model that was trained to predict masked tokens from all others."""
    block: Annotated[int, Field(ge=1)] | None = None
    """Positions of a block; blocks are filled from left to right, one after the other (LLaDA, arXiv 2502.09992)."""

    def views(self) -> dict[str, str]:
        return {self.model: self.model}

    def denoise(self, step: Any, draft: Any, stage: str) -> Any:
        return step.denoise(self.model, draft.tokens, draft.valid)

    def small(self, v: int) -> "ModelDenoiser":
        return self
