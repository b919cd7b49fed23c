"""A vocabulary as bytes: what tokens are spelt of, and how few of them a text takes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

SPLITS = 4096
"""The texts whose tokens are kept."""


class Tokens(Protocol):
    """The part of a tokenizer that an engine needs."""

    eos: frozenset[int]

    @property
    def pieces(self) -> Sequence[bytes]: ...

    @property
    def special(self) -> frozenset[int]: ...


class Bytes:
    """A vocabulary of every byte, and an end."""

    pieces = (*(bytes([byte]) for byte in range(256)), b"<|end|>")
    eos = special = frozenset({256})


class Pieces:
    """The tokens that are text, by their bytes."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        apart = tokens.special | tokens.eos
        self.by_bytes: dict[bytes, int] = {}
        for token, piece in enumerate(tokens.pieces):
            if token not in apart and piece:
                self.by_bytes.setdefault(piece, token)
        self.longest = max(map(len, self.by_bytes), default=0)
        self.single = frozenset(piece[0] for piece in self.by_bytes if len(piece) == 1)
        """The bytes that are tokens by themselves."""
        self._split = lru_cache(maxsize=SPLITS)(self._fewest)

    def __getitem__(self, token: int) -> bytes:
        return self.tokens.pieces[token]

    def spelt(self, token: int) -> list[int]:
        """A token as bytes."""
        return list(self.tokens.pieces[token])

    def split(self, text: bytes) -> tuple[int, ...]:
        """The fewest tokens of a text, the longest first where there is a choice; of what no tokens spell, none."""
        return self._split(bytes(text)) or ()

    def count(self, text: bytes) -> int | None:
        """How few tokens those are; None where no tokens spell the text."""
        found = self._split(bytes(text))
        return None if found is None else len(found)

    def _fewest(self, text: bytes) -> tuple[int, ...] | None:
        """By the ends of the text, the shortest first."""
        best: list[tuple[int, ...] | None] = [()]
        for start in range(len(text) - 1, -1, -1):
            found: tuple[int, ...] | None = None
            for n in range(min(self.longest, len(text) - start), 0, -1):
                token, rest = self.by_bytes.get(text[start : start + n]), best[-n]
                if token is not None and rest is not None and (found is None or len(rest) + 1 < len(found)):
                    found = (token, *rest)
            best.append(found)
        return best[-1]
