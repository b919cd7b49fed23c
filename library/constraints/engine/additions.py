"""How many bytes each token can add to what is missing from a JSON text: most add none, and need not be tried one by one.

A token adds by opening what was not required, by ending in the middle of a number, a word, an escape or a character, or by
ruling out the shorter of several ways to go on.
"""

import re
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from penstock.library.constraints.schema.reach import Reach

OPENERS = frozenset(b'"{[,')
NUMBER = re.compile(rb'(?:^|[\s,:\[{"])[-+.0-9eE]+$')
WORD = re.compile(rb"(?:^|[\s,:\[])(?:t|tr|tru|f|fa|fal|fals|n|nu|nul)$")
WORDS, TAIL = 5, 4
"""What a word that has been begun, and an escape or a character, can be short of."""


def additions(pieces: Sequence[bytes], reach: Reach) -> Int[Tensor, "V"]:
    """By id, the most bytes that a token can add."""
    return torch.tensor([addition(bytes(piece), reach) for piece in pieces])


def addition(piece: bytes, reach: Reach) -> int:
    """The same of one token."""
    opened = sum(byte in OPENERS for byte in piece) * reach.leap
    number = reach.number if NUMBER.search(piece) else 0
    return reach.choice + opened + number + (WORDS if WORD.search(piece) else 0) + (TAIL if unfinished(piece) else 0)


def unfinished(piece: bytes) -> bool:
    """Whether it ends in an escape, or is not whole characters."""
    try:
        piece.decode()
    except UnicodeDecodeError:
        return True
    return piece.endswith(b"\\")
