"""A least length."""

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from penstock.dsl.param import Param
from penstock.dsl.tokens import TokenId
from penstock.ir.ops.history import fewer, forbid
from penstock.library.transforms.counted import Counted


class MinLength(Counted):
    """The text does not end before it has so many tokens (``min_new_tokens`` of transformers; ``min_length`` with the prompt)."""

    kind: ClassVar[str] = "transform.min_length"
    hard_mask: ClassVar[bool] = True

    length: Annotated[int, Field(ge=0)] | Param
    """How many tokens the text has before it may end; the token that ends it is one more."""
    eos: Annotated[tuple[TokenId, ...], Field(min_length=1)]
    """Ids of the tokens that end it."""

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return forbid(logits, self.eos, fewer(state, self.length))

    def small(self, v: int) -> "MinLength":
        return self.model_copy(update={"length": min(self.length, 2), "eos": (v - 1,)})
