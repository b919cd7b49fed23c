"""Penalties on what was said before: automata whose state is a count."""

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.logits import repetition_penalty


class Repetition(Stage):
    """Tokens of the text so far, prompt included, are made less likely (CTRL, arXiv 1909.05858, section 4.1)."""

    kind: ClassVar[str] = "transform.repetition"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"

    alpha: Annotated[float, Field(gt=0)] | Param = 1.2
    """Positive logits of seen tokens are divided by it, negative ones multiplied."""

    def start(self, prompt: list[int], vocab: int) -> Tensor:
        return torch.zeros(vocab, dtype=torch.bool).index_fill(0, torch.tensor(prompt), True)

    def step(self, state: Tensor, token: Tensor, raw: Any) -> Tensor:
        return state | (torch.arange(len(state)) == token)

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return repetition_penalty(logits, state, self.alpha)

    def small(self, v: int) -> "Repetition":
        return self
