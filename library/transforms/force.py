"""Tokens that stand at given places."""

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from penstock.dsl.param import Param
from penstock.dsl.tokens import TokenId
from penstock.ir.ops.history import only, reached
from penstock.library.transforms.counted import Counted


class Force(Counted):
    """The token after the first ``at`` is this one: a forced begin at 0, a forced end at the last place that there is.

    A mask like any other: where another mask forbids the token nothing is left, and that is an error; transformers' forced
    tokens overrule what stands before them.
    """

    kind: ClassVar[str] = "transform.force"
    hard_mask: ClassVar[bool] = True

    token: TokenId
    """Id of the token."""
    at: Annotated[int, Field(ge=0)] | Param = 0
    """How many tokens stand before it."""

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return only(logits, self.token, reached(state, self.at))

    def small(self, v: int) -> "Force":
        return self.model_copy(update={"token": 1, "at": min(self.at, 1)})
