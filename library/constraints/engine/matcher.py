"""The protocol that grammar engines are behind, and what stands in for a grammar before there is one."""

from typing import Protocol, Self

import torch
from jaxtyping import Bool
from torch import Tensor


class Matcher(Protocol):
    """Where one text stands in a grammar over a vocabulary."""

    def copy(self) -> Self:
        """Another matcher at the same place."""
        ...

    def advance(self, token: int) -> bool:
        """One token further; False where that is forbidden, and then this matcher is of no use any more."""
        ...

    def allowed(self) -> Bool[Tensor, "V"]:
        """What may come next; the ends of a text exactly where the grammar's own may end."""
        ...

    def may_end(self) -> bool:
        """Whether the text is one of the grammar's."""
        ...

    def takes(self, tokens: list[int]) -> bool:
        """Whether these may follow, and the text may end after them."""
        ...

    def forced(self) -> bytes:
        """What any text must go on with."""
        ...


class Anything:
    """States of a grammar that is not known yet: enough to type a step, saying nothing of what is allowed."""

    def after(self, state: int, token: int) -> int:
        return 0

    def allowed(self, state: int, limit: int | None) -> Tensor:
        return torch.ones(1, dtype=torch.bool)

    def forced(self, state: int, most: int) -> list[int]:
        return []

    def least(self) -> int | None:
        return None

    def forget(self) -> None:
        """Nothing is remembered."""
