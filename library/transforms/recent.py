"""What rules on sequences of tokens remember: the last few."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.dsl.tokens import TokenId

Ids = Annotated[tuple[TokenId, ...], Field(min_length=1)]
"""A sequence of tokens."""


class Recent(Stage):
    """A transform whose path state is int64 ``[n]``: the last tokens, the prompt's among them, -1 where there are none yet.

    As many as its longest sequence has before the last.
    """

    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"

    @property
    @abstractmethod
    def watched(self) -> tuple[tuple[int, ...], ...]:
        """The sequences that it looks out for."""

    def start(self, prompt: Sequence[int], vocab: int) -> Tensor:
        size = max(1, *(len(sequence) - 1 for sequence in self.watched))
        return torch.tensor([*[-1] * size, *prompt][-size:])

    def step(self, state: Tensor, token: Tensor, raw: Any) -> Tensor:
        return torch.cat([state[1:], token[None]])
