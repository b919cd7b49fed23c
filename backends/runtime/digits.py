"""The text of table models: token ids as numbers."""

from collections.abc import Sequence

from penstock.ir.errors import PenstockError

LONG = 20
"""Digits that no id has: Python refuses to read very long numbers, and nobody wants to see them again."""


class Digits:
    """``"1 0 2"`` is the ids 1, 0, 2; nothing ends a text."""

    eos: frozenset[int] = frozenset()
    mask: int | None = None

    def __init__(self, vocab: int) -> None:
        self.vocab = vocab

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        words = text.split()
        wrong = next((word for word in words if not (word.isdecimal() and len(word) < LONG and int(word) < self.vocab)), None)
        if wrong is not None:
            said = repr(wrong if len(wrong) < LONG else f"{wrong[:LONG]}...")
            fix = f"write token ids below {self.vocab}, as in `1 0 2`"
            raise PenstockError(f"{said} is no text of a table model", fix=fix)
        return [int(word) for word in words]

    def dialogue(self, messages: object) -> str:
        raise PenstockError("a table model has no chat template", fix="give token ids as a text")

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))
