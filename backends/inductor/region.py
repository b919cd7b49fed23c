"""A captured region: one write of numbers, one compiled call, one read of numbers; logits stay where they are."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from penstock.backends.eager.places import Kernel, Numbers, Place
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.blind import Blind
from penstock.backends.inductor.layout import Layout, bucket, few, padded
from penstock.ir.types import EXAMPLE_ROWS


class DeviceRegion:
    """What one region computes of its numbers, packed into one tensor, and of its tensors."""

    def __init__(self, graph: fx.Graph, reads: list[fx.Node], gives: list[fx.Node], name: str, artefacts: Artefacts) -> None:
        self.graph = graph
        self.packed, self.small = [few(node) for node in reads], [few(node) for node in gives]
        self.read = Layout([n.meta["example"] for n in reads if few(n)])
        self.given = Layout([n.meta["example"] for n in gives if few(n)])
        leaves = [x for n in reads if not few(n) for x in pytree.tree_leaves(n.meta["example"])]
        self.by_row = [x.dim() > 0 and len(x) == EXAMPLE_ROWS for x in leaves]
        _, self.tree = pytree.tree_flatten(tuple(n.meta["example"] for n in reads if not few(n)))
        self.compiled = artefacts.add(self.function, name)

    def arguments(self, values: Sequence[fx.Node]) -> tuple[tuple[fx.Node, ...], tuple[fx.Node, ...]]:
        """The region's arguments: what it reads as numbers, and what as tensors."""
        pairs = list(zip(values, self.packed, strict=True))
        return tuple(v for v, small in pairs if small), tuple(v for v, small in pairs if not small)

    def kernel(self) -> Kernel:
        """How generated code calls it."""
        gives: tuple[Place, ...] = tuple("numbers" if small else "tensor" for small in self.small)
        return Kernel(self.run, inspect.signature(self.run), {"numbers": "numbers"}, gives)

    def run(self, numbers: Numbers, tensors: Any) -> tuple[Any, ...]:
        """The region's results, numbers and tensors, for as many rows as its numbers have."""
        rows = len(numbers[0])
        size = bucket(rows)
        leaves = pytree.tree_leaves(tensors)
        if size != rows:
            leaves = [padded(x, rows, size) if by_row else x for x, by_row in zip(leaves, self.by_row, strict=True)]
        block, *others = self.compiled(self.read.packed(numbers, rows, size), *leaves)
        ints, floats = self.given.split(block[:rows].tolist()), iter(others)  # the one read
        return tuple(next(ints) if small else next(floats)[:rows] for small in self.small)

    def function(self, block: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
        """The region on tensors alone: integers ``[b,m]`` in, integers and others out."""
        packed, tensors = self.read.columns(block), iter(pytree.tree_unflatten(list(leaves), self.tree))
        made = Blind().run(self.graph, [next(packed) if small else next(tensors) for small in self.packed])
        results = list(zip(made, self.small, strict=True))
        numbers = torch.cat([x.reshape(len(block), -1) for x, small in results if small], 1)
        return numbers, *(x for x, small in results if not small)
