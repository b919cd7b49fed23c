"""Bans on tokens and on sequences of them."""

from typing import Any, ClassVar, Self

from pydantic import model_validator
from torch import Tensor

from penstock.dsl.tokens import TokenId
from penstock.ir.ops.history import forbid_completions
from penstock.library.transforms.recent import Ids, Recent


class Ban(Recent):
    """Tokens that are never said, and sequences never completed (``suppress_tokens`` and ``bad_words_ids`` of transformers).

    A sequence that the prompt has begun is not completed either. An end of text listed as a token is banned like any other,
    where transformers leaves it out.
    """

    kind: ClassVar[str] = "transform.ban"
    hard_mask: ClassVar[bool] = True

    tokens: tuple[TokenId, ...] = ()
    """Ids of tokens."""
    sequences: tuple[Ids, ...] = ()
    """Sequences of ids."""

    @model_validator(mode="after")
    def _bans_something(self) -> Self:
        if not self.tokens and not self.sequences:
            raise ValueError("nothing is banned; name a token in tokens, or a sequence in sequences")
        return self

    @property
    def watched(self) -> tuple[tuple[int, ...], ...]:
        return (*((token,) for token in self.tokens), *self.sequences)

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return forbid_completions(logits, state, self.watched)

    def small(self, v: int) -> "Ban":
        sequences = tuple(tuple(token % (v - 1) for token in sequence[-3:]) for sequence in self.sequences)
        return self.model_copy(update={"tokens": (0,) if self.tokens else (), "sequences": sequences})
