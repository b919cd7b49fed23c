"""Tokens that no text begins with."""

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.dsl.tokens import TokenId
from penstock.ir.ops.history import forbid


class SuppressAtBegin(Stage):
    """The first generated token is none of these (``begin_suppress_tokens`` of transformers)."""

    kind: ClassVar[str] = "transform.suppress_at_begin"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    hard_mask: ClassVar[bool] = True

    tokens: Annotated[tuple[TokenId, ...], Field(min_length=1)]
    """Ids of the tokens."""

    def start(self, prompt: list[int], vocab: int) -> Tensor:
        """Path state: whether nothing has been generated."""
        return torch.tensor(True)

    def step(self, state: Tensor, token: Tensor, raw: Any) -> Tensor:
        return torch.zeros_like(state)

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return forbid(logits, self.tokens, state)

    def small(self, v: int) -> "SuppressAtBegin":
        return self.model_copy(update={"tokens": (0,)})
