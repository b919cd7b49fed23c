"""Commit whatever the denoiser is sure enough of."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.canvas import at_most, likeliest, rank_positions, sure_or
from penstock.ir.ports import Denoised, Proposals


class Threshold(Stage):
    """Every position that is at least so sure, and at least ``per_step`` of them (Fast-dLLM, arXiv 2505.22618)."""

    kind: ClassVar[str] = "unmasker.threshold"
    role: ClassVar[Role] = "unmasker"
    effect: ClassVar[Effect] = "steers"

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Probability from which on a prediction is committed."""
    per_step: Annotated[int, Field(ge=1)] = 1
    """Positions committed a step where none is that sure."""

    def predict(self, logits: Any) -> Any:
        return likeliest(logits)

    def propose(self, denoised: Denoised) -> Proposals:
        position = rank_positions(denoised.conf, denoised.open)
        least = at_most(denoised.open, self.per_step)
        return Proposals(position, denoised.x0, sure_or(denoised.conf, denoised.open, self.threshold, least))

    def small(self, v: int) -> "Threshold":
        return self
