"""Commit what the denoiser is surest of."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.canvas import at_most, leftmost, likeliest, rank_positions
from penstock.ir.ports import Denoised, Proposals


class Confidence(Stage):
    """A fixed number a step: where the likeliest token is most probable, the leftmost on ties (LLaDA, arXiv 2502.09992)."""

    kind: ClassVar[str] = "unmasker.confidence"
    role: ClassVar[Role] = "unmasker"
    effect: ClassVar[Effect] = "steers"

    per_step: Annotated[int, Field(ge=1)] = 1
    """Positions committed a step."""
    order: Literal["confidence", "left_to_right"] = "confidence"
    """Which come first."""

    def predict(self, logits: Any) -> Any:
        return likeliest(logits)

    def propose(self, denoised: Denoised) -> Proposals:
        by_text = self.order == "left_to_right"
        position = leftmost(denoised.open) if by_text else rank_positions(denoised.conf, denoised.open)
        return Proposals(position, denoised.x0, at_most(denoised.open, self.per_step))

    def small(self, v: int) -> "Confidence":
        return self
