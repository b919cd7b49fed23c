"""The text of table models: token ids as numbers."""

from collections.abc import Sequence

from penstock.ir.errors import PenstockError


class Digits:
    """``"1 0 2"`` is the ids 1, 0, 2; nothing ends a text."""

    eos: frozenset[int] = frozenset()
    mask: int | None = None

    def __init__(self, vocab: int) -> None:
        self.vocab = vocab

    def encode(self, text: str) -> list[int]:
        ids = [int(word) if word.isdecimal() else -1 for word in text.split()]
        if not all(0 <= i < self.vocab for i in ids):
            raise PenstockError(f"{text!r} is no text of a table model", fix=f"write token ids below {self.vocab}, as in `1 0 2`")
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))
