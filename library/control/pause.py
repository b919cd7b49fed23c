"""Pause a row where a step of its text ends, so that a program can judge it, fork it and resume it."""

from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.dsl.tokens import TokenId
from penstock.ir.state import PAUSED

OVER = -1
"""State of a path on which a step has just ended; else the tokens of the step so far."""


class Pause(Stage):
    """A row pauses after any of these tokens, in the middle of an accepted draft too; resumed, it runs to the next one."""

    kind: ClassVar[str] = "control.pause"
    role: ClassVar[Role] = "gate"
    effect: ClassVar[Effect] = "steers"
    status: ClassVar[int] = PAUSED

    at: tuple[TokenId, ...]
    """Ids of the tokens that end a step."""
    longest: Annotated[int, Field(ge=1)] | None = None
    """A step ends after so many tokens in any case."""

    @model_validator(mode="after")
    def _ends_some_step(self) -> Self:
        if not self.at and self.longest is None:
            raise ValueError("nothing ends a step; name a token in at, or give longest")
        return self

    def start(self, prompt: list[int], vocab: int) -> Tensor:
        return torch.tensor(0)

    def step(self, state: Tensor, token: Tensor, raw: Any) -> Tensor:
        count = state.clamp(min=0) + 1
        over = (token == torch.tensor(self.at)).any(-1)
        return torch.where(over if self.longest is None else over | (count >= self.longest), OVER, count)

    def end(self, state: Tensor) -> Tensor:
        return state == OVER

    def small(self, v: int) -> "Pause":
        return self.model_copy(update={"at": tuple(dict.fromkeys(token % v for token in self.at))})
