"""What rules on places and lengths remember: how many tokens there are."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage


class Counted(Stage):
    """A stage whose path state is the number of tokens so far."""

    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"

    prompt: bool = False
    """Whether the prompt's tokens count too; by default only generated ones do."""

    def start(self, prompt: list[int], vocab: int) -> Tensor:
        return torch.tensor(len(prompt) if self.prompt else 0)

    def step(self, state: Tensor, token: Tensor, raw: Any) -> Tensor:
        return state + 1
