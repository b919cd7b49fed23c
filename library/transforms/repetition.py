"""The repetition penalty."""

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from penstock.dsl.param import Param
from penstock.ir.ops.logits import repetition_penalty
from penstock.library.transforms.said import Said


class Repetition(Said):
    """Tokens of the text so far are made less likely (CTRL, arXiv 1909.05858, section 4.1)."""

    kind: ClassVar[str] = "transform.repetition"

    alpha: Annotated[float, Field(gt=0)] | Param = 1.2
    """Positive logits of seen tokens are divided by it, negative ones multiplied."""
    prompt: bool = True
    """Whether the prompt's tokens count as said, as in transformers."""

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return repetition_penalty(logits, state, self.alpha)

    def small(self, v: int) -> "Repetition":
        return self
