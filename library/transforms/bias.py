"""Biases on tokens and on sequences of them."""

from typing import Any, ClassVar, Self

from pydantic import model_validator
from torch import Tensor

from penstock.dsl.tokens import TokenId
from penstock.ir.ops.history import bias_completions
from penstock.library.transforms.recent import Ids, Recent


class Bias(Recent):
    """Adds to the logits of tokens, always or where they complete a sequence (``sequence_bias`` of transformers).

    A sequence's value is added to its last token where the others are the last that were said, in the prompt too.
    """

    kind: ClassVar[str] = "transform.bias"

    tokens: tuple[tuple[TokenId, float], ...] = ()
    """Pairs of a token's id and what is added to its logit."""
    sequences: tuple[tuple[Ids, float], ...] = ()
    """Pairs of a sequence of ids and what is added to the logit of its last."""

    @model_validator(mode="after")
    def _adds_something(self) -> Self:
        if not self.tokens and not self.sequences:
            raise ValueError("nothing is biased; name a token in tokens, or a sequence in sequences")
        return self

    @property
    def pairs(self) -> tuple[tuple[tuple[int, ...], float], ...]:
        """Every sequence with its value, single tokens as sequences of one."""
        return (*(((token,), value) for token, value in self.tokens), *self.sequences)

    @property
    def watched(self) -> tuple[tuple[int, ...], ...]:
        return tuple(sequence for sequence, _ in self.pairs)

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return bias_completions(logits, state, self.watched, tuple(value for _, value in self.pairs))

    def small(self, v: int) -> "Bias":
        sequences = tuple((tuple(token % v for token in sequence[-3:]), value) for sequence, value in self.sequences)
        return self.model_copy(update={"tokens": tuple((t % v, value) for t, value in self.tokens), "sequences": sequences})
