"""A cache of a model whose layers keep keys and values of unequal shapes: one slot cache a shape, behind one face."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from penstock.backends.runtime.cache import SlotCache

Shape = tuple[int, int]
"""Heads, and numbers a head."""
Plane = tuple[int, int]
"""A layer, and what of it: 0 its keys, 1 its values."""


@dataclass(frozen=True)
class Place:
    """Where a plane is kept: ``plane`` of slot cache ``part``."""

    part: int
    plane: int


def places_of(shapes: Mapping[Plane, Shape]) -> tuple[dict[Plane, Place], list[tuple[Shape, int]]]:
    """Where every plane is kept, and of every part its shape and how many planes it has; planes of one shape share a part."""
    kinds = {shape: part for part, shape in enumerate(dict.fromkeys(shapes.values()))}
    counts, places = [0] * len(kinds), {}
    for plane, shape in sorted(shapes.items()):
        part = kinds[shape]
        places[plane] = Place(part, counts[part])
        counts[part] += 1
    return places, list(zip(kinds, counts, strict=True))


class MixedCache:
    """Planes by layer and kind, each in the slot cache of its shape; whatever moves by slot moves in all of them."""

    def __init__(self, parts: Sequence[SlotCache], places: Mapping[Plane, Place]) -> None:
        self.parts, self.places = tuple(parts), places

    @classmethod
    def empty(cls, rows: int, slots: int, shapes: Mapping[Plane, Shape], dtype: torch.dtype, device: Any) -> "MixedCache":
        """A cache of zeros: ``slots`` slots and the trash slot for every plane of ``shapes``."""
        places, parts = places_of(shapes)
        options: dict[str, Any] = dict(kinds=1, dtype=dtype, device=device)
        made = [SlotCache.empty(rows, slots, layers=count, heads=h, width=w, **options) for (h, w), count in parts]
        return cls(made, places)

    @property
    def slots(self) -> int:
        return self.parts[0].slots

    @property
    def positions(self) -> Tensor:
        """int64 ``[b, S+1]``: the logical position of each slot, the same in every part."""
        return self.parts[0].positions

    def place(self, slots: Tensor, positions: Tensor) -> None:
        for part in self.parts:
            part.place(slots, positions)

    def write(self, layer: int, kind: int, slots: Tensor, values: Tensor) -> None:
        at = self.places[layer, kind]
        self.parts[at.part].write(at.plane, 0, slots, values)

    def read(self, layer: int, kind: int, extent: int) -> Tensor:
        at = self.places[layer, kind]
        return self.parts[at.part].read(at.plane, 0, extent)

    def take(self, rows: Tensor) -> "MixedCache":
        return MixedCache([part.take(rows) for part in self.parts], self.places)

    def cat(self, *others: "MixedCache") -> "MixedCache":
        parts = zip(self.parts, *(other.parts for other in others), strict=True)
        return MixedCache([first.cat(*rest) for first, *rest in parts], self.places)

    def move(self, source: Tensor, target: Tensor) -> None:
        for part in self.parts:
            part.move(source, target)

    def clear_from(self, first: Tensor) -> None:
        for part in self.parts:
            part.clear_from(first)

    def leaves(self) -> Sequence[Tensor]:
        return [leaf for part in self.parts for leaf in part.leaves()]
