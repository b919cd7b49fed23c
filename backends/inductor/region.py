"""A captured region: one write of numbers, one compiled call, at most one read of numbers; logits stay where they are."""

import inspect
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from penstock.backends.eager.places import Kernel, Numbers, Place, from_numbers
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.blind import Blind
from penstock.backends.inductor.layout import Layout, bucket, padded, small, told
from penstock.ir.types import EXAMPLE_ROWS


class DeviceRegion:
    """What one region computes of its numbers, packed into one tensor, and of its tensors."""

    def __init__(self, graph: fx.Graph, reads: list[fx.Node], gives: list[fx.Node], name: str, artefacts: Artefacts) -> None:
        self.graph, self.results = graph, Results(gives)
        self.packed = [told(node) for node in reads]
        self.read = Layout([n.meta["example"] for n in reads if told(n)])
        leaves = [x for n in reads if not told(n) for x in pytree.tree_leaves(n.meta["example"])]
        self.by_row = [x.dim() > 0 and len(x) == EXAMPLE_ROWS for x in leaves]
        self.tree = pytree.tree_structure(tuple(n.meta["example"] for n in reads if not told(n)))
        self.compiled = artefacts.add(self.function, name)

    def arguments(self, values: Sequence[fx.Node]) -> tuple[tuple[fx.Node, ...], tuple[fx.Node, ...]]:
        """The region's arguments: what it reads as numbers, and what as tensors."""
        pairs = list(zip(values, self.packed, strict=True))
        return tuple(v for v, small in pairs if small), tuple(v for v, small in pairs if not small)

    def kernel(self) -> Kernel:
        """How generated code calls it."""
        return Kernel(self.run, inspect.signature(self.run), {"numbers": "numbers"}, self.results.places)

    def run(self, numbers: Numbers, tensors: Any) -> tuple[Any, ...]:
        """The region's results, numbers and tensors, for as many rows as it reads."""
        leaves = pytree.tree_leaves(tensors)
        rows = len(numbers[0] if numbers else leaves[self.by_row.index(True)])
        size = bucket(rows)
        if size != rows:
            leaves = [padded(x, rows, size) if by_row else x for x, by_row in zip(leaves, self.by_row, strict=True)]
        return self.results.unpacked(self.compiled(self.read.packed(numbers, rows, size), *leaves), rows)

    def function(self, block: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
        """The region on tensors alone: integers ``[b,m]`` in, integers and others out."""
        packed, tensors = self.read.columns(block), iter(pytree.tree_unflatten(list(leaves), self.tree))
        made = Blind().run(self.graph, [next(packed) if small else next(tensors) for small in self.packed])
        return self.results.packed(made, len(block))


class Results:
    """What a region gives: leaves that are few numbers, in the one block that the host reads, and tensors, which stay."""

    def __init__(self, gives: Sequence[fx.Node]) -> None:
        self.places: tuple[Place, ...] = tuple("numbers" if told(node) else "tensor" for node in gives)
        examples = [pytree.tree_flatten(node.meta["example"]) for node in gives]
        self.trees = [tree for _, tree in examples]
        self.read = [[small(x) and not n.meta.get("resident") for x in xs] for n, (xs, _) in zip(gives, examples, strict=True)]
        flags = zip(chain(*(xs for xs, _ in examples)), chain(*self.read), strict=True)
        self.block = Layout([x for x, read in flags if read])

    def packed(self, made: Sequence[Any], rows: int) -> tuple[Tensor, ...]:
        """The block ``[b,m]``, if there is anything to read, and the other leaves."""
        pairs = list(zip(pytree.tree_leaves(list(made)), chain(*self.read), strict=True))
        numbers = [x.reshape(rows, -1) for x, read in pairs if read]
        return *([torch.cat(numbers, 1)] if numbers else []), *(x for x, read in pairs if not read)

    def unpacked(self, given: Sequence[Tensor], rows: int) -> tuple[Any, ...]:
        """Each result of the rows that are there, where it is wanted."""
        tensors = iter(given)
        block = next(tensors)[:rows].tolist() if self.block.width else []  # the one read
        numbers = self.block.split(block)
        leaves = ([next(numbers if read else tensors) for read in each] for each in self.read)
        return tuple(
            each[0] if place == "numbers" else pytree.tree_unflatten([whole(x, rows) for x in each], tree)
            for each, place, tree in zip(leaves, self.places, self.trees, strict=True)
        )


def whole(leaf: Any, rows: int) -> Tensor:
    """A leaf of a result as a tensor, without the rows that only pad."""
    return from_numbers(leaf, np.int64) if isinstance(leaf, list) else leaf[:rows]
