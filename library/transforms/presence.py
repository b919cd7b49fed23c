"""The presence penalty."""

from typing import Any, ClassVar

from torch import Tensor

from penstock.dsl.param import Param
from penstock.ir.ops.history import additive_penalty
from penstock.library.transforms.said import Said


class Presence(Said):
    """``alpha`` less for every token that has been said, however often: the presence penalty of OpenAI's API."""

    kind: ClassVar[str] = "transform.presence"

    alpha: float | Param = 0.5
    """What is subtracted; OpenAI takes -2 to 2, and a negative value rewards what was said."""
    prompt: bool = False
    """Whether the prompt's tokens count as said; they do not at OpenAI and in vLLM."""

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return additive_penalty(logits, state, self.alpha)

    def small(self, v: int) -> "Presence":
        return self
