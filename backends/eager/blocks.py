"""What is large in a row, by the maxima of its blocks: most of a vocabulary is read once and never looked at again."""

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
    """A row and the largest of every block of it; what is no number is the largest of its block."""

    values: Any
    """``[v]``."""
    width: int
    maxima: Any
    """``[v // width]``: less than a block may be left over."""

    @classmethod
    def of(cls, values: Any, k: int) -> "Blocks":
        """At least 2k blocks, or each value by itself where these would be too narrow."""
        width = min(WIDEST, 1 << (len(values) // (2 * k)).bit_length() - 1) if len(values) >= 2 * k else 1
        if width < NARROWEST:
            return cls(values, 1, values)
        whole = torch.from_numpy(values[: len(values) // width * width])
        return cls(values, width, whole.view(-1, width).amax(-1).numpy())  # numpy's is seven times slower

    def bound(self, k: int) -> float:
        """What the k-th largest value is not below: the k-th largest of the maxima."""
        return float(np.partition(self.maxima, len(self.maxima) - k)[-k])

    def not_below(self, floor: float) -> Any:
        """The places ``[c]`` of all values that are not below, ascending; of those that are no numbers too."""
        blocks = np.flatnonzero(~(self.maxima < floor))
        if self.width == 1:
            return blocks
        covered = len(self.maxima) * self.width
        inside = np.flatnonzero(~(self.values[:covered].reshape(-1, self.width)[blocks] < floor))
        found = blocks[inside // self.width] * self.width + inside % self.width
        left = np.flatnonzero(~(self.values[covered:] < floor))
        return np.concatenate((found, left + covered)) if len(left) else found
