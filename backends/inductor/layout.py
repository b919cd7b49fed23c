"""How small integers lie side by side in one tensor ``[b,m]``, so that a region is written to once and read once."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from penstock.backends.eager.places import Numbers

FEW = 64
"""Columns that integers may have to be numbers of the host: a draft's nodes, not a vocabulary."""


def small(x: Any) -> bool:
    """Whether a value can be numbers of the host: integers or booleans ``[b]`` or ``[b,n]``, n small."""
    return isinstance(x, Tensor) and not x.is_floating_point() and (x.dim() == 1 or x.dim() == 2 and x.shape[1] <= FEW)


def few(node: fx.Node) -> bool:
    """Whether a node's value can be numbers of the host."""
    return small(node.meta.get("example"))


def told(node: fx.Node) -> bool:
    """Whether the host knows a value, or is told it with a block: it is few numbers, and nothing keeps them on the device."""
    return few(node) and not node.meta.get("resident", False)


class Layout:
    """Where each of several values lies."""

    def __init__(self, examples: Sequence[Tensor]) -> None:
        self.single = [x.dim() == 1 for x in examples]
        self.truth = [x.dtype == torch.bool for x in examples]
        self.spans = list(pairwise(accumulate((1 if x.dim() == 1 else x.shape[1] for x in examples), initial=0)))
        self.width = self.spans[-1][1] if self.spans else 0

    def packed(self, numbers: Numbers, rows: int, size: int) -> Tensor:
        """``[size,m]`` of values with ``rows`` rows each; those beyond are zeros."""
        block = np.zeros((size, self.width), np.int64)
        for value, single, (first, end) in zip(numbers, self.single, self.spans, strict=True):
            block[:rows, first if single else slice(first, end)] = value
        return torch.from_numpy(block)

    def columns(self, block: Tensor) -> Iterator[Tensor]:
        """The values, as parts of the block."""
        for single, truth, (first, end) in zip(self.single, self.truth, self.spans, strict=True):
            value = block[:, first] if single else block[:, first:end]
            yield value != 0 if truth else value

    def split(self, block: list[list[int]]) -> Iterator[Numbers]:
        """The values of a block that was read."""
        for single, (first, end) in zip(self.single, self.spans, strict=True):
            yield [row[first] if single else row[first:end] for row in block]


def padded(x: Any, rows: int, size: int) -> Any:
    """A tensor with as many rows as its bucket has; the new ones are copies of the first."""
    return x if rows == size else torch.cat([x, x[:1].expand(size - rows, *x.shape[1:])])


def bucket(rows: int) -> int:
    """The least power of two that holds so many rows: few batch sizes are ever compiled."""
    return 1 << (rows - 1).bit_length()
