"""End a row at a length."""

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from penstock.dsl.param import Param
from penstock.dsl.roles import Role
from penstock.ir.state import LENGTH
from penstock.library.transforms.counted import Counted


class MaxLength(Counted):
    """A row ends when it has so many tokens, in the middle of an accepted draft too (``max_new_tokens``, ``max_length``).

    Beside ``max_new_tokens`` of the run, which makes room for the longest: the lesser ends a row. One token is always said.
    """

    kind: ClassVar[str] = "control.max_length"
    role: ClassVar[Role] = "gate"
    status: ClassVar[int] = LENGTH

    length: Annotated[int, Field(ge=1)] | Param
    """How many tokens."""

    def end(self, state: Tensor) -> Tensor:
        return state >= self.length

    def small(self, v: int) -> "MaxLength":
        return self.model_copy(update={"length": min(self.length, 2)})
