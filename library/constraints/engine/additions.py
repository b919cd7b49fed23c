"""How many bytes each token can add to what is missing from a JSON text: most add none, and need not be tried one by one.

A token adds by opening what was not required, by ending in the middle of a number, a word, an escape or a character, or by
ruling out the shorter of several ways to go on.
"""

import re
from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from penstock.library.constraints.schema.reach import Reach

OPENERS, STRUCTURE = frozenset(b'"{[,'), frozenset(b'"{}[]:,')
NUMBER = re.compile(rb'(?:^|[\s,:\[{"])[-+.0-9eE]+$')
WORD = re.compile(rb"(?:^|[\s,:\[])(?:t|tr|tru|f|fa|fal|fals|n|nu|nul)$")
WORDS, TAIL = 5, 4
"""What a word that has been begun, and an escape or a character, can be short of."""


class Additions:
    """Of a vocabulary, under the bounds of a schema."""

    def __init__(self, pieces: Sequence[bytes], reach: Reach) -> None:
        self.most = torch.tensor([addition(piece, reach) for piece in pieces])
        """Int ``[v]``: bytes."""
        self.moves = torch.tensor([bool(reach.choice) or moves(piece) for piece in pieces])
        """Bool ``[v]``: whether it may take a text into the midst of its completion; else that is still whole after it."""
        self.first = torch.tensor([piece[0] if piece else -1 for piece in pieces])

    def within(self, spare: int, completion: bytes, tokens: Sequence[bytes]) -> Bool[Tensor, "V"]:
        """The tokens that add at most ``spare`` tokens to a completion, itself these tokens, for certain.

        A completion that is taken up in the midst of one of its tokens needs that one's bytes.
        """
        cut = max(0, *(len(token) - 2 for token in tokens), 0)
        own = self.first == (completion[0] if completion else -1)
        return (self.most + self.moves * cut <= spare) & ~own


def addition(piece: bytes, reach: Reach) -> int:
    """The most bytes that a token adds."""
    opened = sum(byte in OPENERS for byte in piece) * reach.leap
    number = reach.number if NUMBER.search(piece) else 0
    return reach.choice + opened + number + (WORDS if WORD.search(piece) else 0) + (TAIL if unfinished(piece) else 0)


def moves(piece: bytes) -> bool:
    """Whether it may be more than characters in a string."""
    return bool(NUMBER.search(piece) or WORD.search(piece) or STRUCTURE & set(piece))


def unfinished(piece: bytes) -> bool:
    """Whether it ends in an escape, or is not whole characters."""
    try:
        piece.decode()
    except UnicodeDecodeError:
        return True
    return piece.endswith(b"\\")
