"""What penalties on repetition remember: whether each token was said on the path."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage


class Said(Stage):
    """A transform whose path state is bool ``[v]``: the tokens said, the prompt's among them if ``prompt`` is true."""

    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    any_lead: ClassVar[bool] = True  # mapped over sites, a step takes as long as the rest of a chain

    prompt: bool
    """Whether the prompt's tokens count as said."""

    def start(self, prompt: list[int], vocab: int) -> Tensor:
        said = torch.tensor(prompt if self.prompt else [], dtype=torch.long)
        return torch.zeros(vocab, dtype=torch.bool).index_fill(0, said, True)

    def step(self, state: Tensor, token: Tensor, raw: Any) -> Tensor:
        return state.scatter(-1, token[..., None], True)
