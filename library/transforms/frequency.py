"""The frequency penalty."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.history import additive_penalty


class Frequency(Stage):
    """``alpha`` less for each time that a token has been said: the frequency penalty of OpenAI's API.

    Path state: int32 ``[v]``, how often each token was said.
    """

    kind: ClassVar[str] = "transform.frequency"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    any_lead: ClassVar[bool] = True

    alpha: float | Param = 0.5
    """What is subtracted a time; OpenAI takes -2 to 2, and a negative value rewards what was said."""
    prompt: bool = False
    """Whether the prompt's tokens are counted; they are not at OpenAI and in vLLM."""

    def start(self, prompt: list[int], vocab: int) -> Tensor:
        said = torch.tensor(prompt if self.prompt else [], dtype=torch.long)
        return torch.bincount(said, minlength=vocab).int()

    def step(self, state: Tensor, token: Tensor, raw: Any) -> Tensor:
        return state.scatter_add(-1, token[..., None], torch.ones_like(token, dtype=state.dtype)[..., None])

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return additive_penalty(logits, state, self.alpha)

    def small(self, v: int) -> "Frequency":
        return self
