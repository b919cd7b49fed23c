"""What is large in rows, by the maxima of their blocks: most of a vocabulary is read once and never looked at again."""

import math
from collections.abc import Sequence
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
    width: int
    maxima: Any
    """``[r, v // width]``: less than a block may be left over."""

    @classmethod
    def of(cls, values: Any, k: int) -> "Blocks":
        """At least 2k blocks a row, or each value by itself where these would be too narrow."""
        rows, size = values.shape
        width = min(WIDEST, 1 << (size // (2 * k)).bit_length() - 1) if size >= 2 * k else 1
        if width < NARROWEST:
            return cls(values, 1, values)
        whole = torch.from_numpy(values)[:, : size // width * width]
        return cls(values, width, whole.view(rows, -1, width).amax(-1).numpy())  # numpy's is seven times slower

    def bound(self, row: int, k: int) -> float:
        """What a row's k-th largest value is not below: the k-th largest of its maxima."""
        count = self.maxima.shape[1]
        return float(np.partition(self.maxima[row], count - k)[-k]) if k <= count else -math.inf

    def not_below(self, floors: Sequence[float]) -> tuple[Any, Any]:
        """Rows and places ``[c]`` of all values not below their row's floor, in order; what is no number is among them."""
        floor = np.array(floors, self.values.dtype)[:, None]
        (rows, size), count = self.values.shape, self.maxima.shape[1]
        covered = count * self.width
        row, block = np.divmod(np.flatnonzero(~(self.maxima < floor)), count)
        if self.width == 1:
            return row, block
        blocks = self.values[:, :covered].reshape(rows, count, self.width)[row, block]
        at, inside = np.divmod(np.flatnonzero(~(blocks < floor[row])), self.width)
        row, place = row[at], block[at] * self.width + inside
        if covered == size:
            return row, place
        left, beyond = np.divmod(np.flatnonzero(~(self.values[:, covered:] < floor)), size - covered)
        return np.divmod(np.sort(np.concatenate((row * size + place, left * size + covered + beyond))), size)
