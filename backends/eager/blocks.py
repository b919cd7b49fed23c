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

    def firsts(self, k: int) -> Any:
        """Places ``[r,k]`` of the k largest, in order, the first of those that tie: they are in the k blocks of largest maxima.

        None where a row has fewer blocks that hold anything, or tokens left over after whole blocks. All rows go together, since
        on so few numbers a call takes longer than what it does.
        """
        rows, count = self.maxima.shape
        if self.values.shape[1] > count * self.width:
            return None
        each, held = np.arange(rows), taken(self.maxima.copy(), k)
        if self.maxima[each, held[:, -1]].min() == -math.inf:
            return None
        held.sort(1)
        near = self.values.reshape(rows, count, self.width)[each[:, None], held].reshape(rows, -1)
        block, inside = np.divmod(taken(near, k), self.width)
        return held[each[:, None], block] * self.width + inside


def taken(values: Any, k: int) -> Any:
    """Places ``[r,k]`` of the largest, one after another; the values are used up."""
    rows, places = np.arange(len(values)), np.empty((len(values), k), np.int64)
    for i in range(k):
        places[:, i] = best = values.argmax(1)
        values[rows, best] = -math.inf
    return places
