"""What is large in rows, by the maxima of their blocks: most of a vocabulary is read once and never looked at again."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

WIDEST = 128
"""The most tokens of which one maximum is taken."""
NARROWEST = 8
"""Blocks narrower than this are no shortcut."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows and the largest of every block of them; what is no number is the largest of its block."""

    values: Any
    """``[r,v]``."""
    whole: Any
    """``[r,n,width]``: the values, but for less than a block of each row that may be left over."""
    maxima: Any
    """``[r,n]``."""

    @classmethod
    def of(cls, values: Any, k: int) -> "Blocks":
        """At least 2k blocks a row, or each value by itself where these would be too narrow."""
        size = values.shape[1]
        width = min(WIDEST, 1 << (size // (2 * k)).bit_length() - 1) if size >= 2 * k else 1
        if width < NARROWEST:
            return cls(values, values[..., None], values)
        whole = torch.from_numpy(values).unfold(1, width, width)
        return cls(values, whole.numpy(), whole.amax(-1).numpy())  # numpy's is seven times slower

    def bounds(self, k: int) -> Any:
        """What each row's k-th largest value is not below, ``[r]``: the k-th largest of its maxima."""
        rows, count = self.maxima.shape
        if k > count:
            return np.full(rows, -math.inf, self.values.dtype)
        return np.partition(self.maxima, count - k)[:, count - k]

    def not_below(self, floors: Any) -> Any:
        """The places ``row * v + token`` ``[c]``, ascending, of all values not below their row's of the floors ``[r]``.

        What is no number is among them.
        """
        floors, size = floors[:, None], self.values.shape[1]
        (count, width), block = self.whole.shape[1:], np.flatnonzero(~(self.maxima < floors))
        if width == 1:
            return block
        row = block // count
        found = np.flatnonzero(~(self.whole[row, block - row * count] < floors[row]))
        at = found // width  # the block that it was found in
        places = found + (block[at] - at) * width
        left = size - count * width
        if not left:
            return places
        row, beyond = np.divmod(np.flatnonzero(~(self.values[:, -left:] < floors)), left)
        return np.sort(np.concatenate((places + places // (count * width) * left, row * size + size - left + beyond)))
