"""What one forward call is fed, on the host: geometry from constant tables, row numbers as Python integers."""

from dataclasses import dataclass
from functools import lru_cache
from operator import add

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from torch import Tensor

from penstock.backends.eager.places import Numbers, from_numbers
from penstock.ir.host import Feed
from penstock.ir.ops.tree import ancestors
from penstock.ir.state import Sequence, View

BUCKET = 16
"""Slots attended to are rounded up to a multiple of this, which products of matrices like."""
FETCHED = 64
"""Slots behind those attended to that cost a single column less to read than to leave out."""

Shape = tuple[int, ...]
Places = tuple[Tensor, Tensor, Tensor]
"""Slots and positions ``[b,columns]``, and what is visible ``[b,columns,extent]``."""


@dataclass(frozen=True, eq=False)
class Window:
    """The columns of one call, counted from the end of the text: due text first, then nodes behind those fed before."""

    visible: Tensor
    """bool ``[columns, 2 reach + nodes]``; the text ends at ``reach``."""
    reach: int
    offsets: NDArray[np.int64]
    """``[2, 1, columns]``: what makes slots, which are consecutive, and positions."""
    straight: bool
    """Whether positions are the slots."""
    counting: Tensor
    """int64 ``[w]``: from ``-text`` on, the slots of a single row whatever its text's length."""

    @property
    def columns(self) -> int:
        return self.visible.shape[0]

    def of_one(self, length: int, before: int, extent: int) -> Places:
        """Slots ``[1,columns]``, positions and what is visible ``[1,columns,extent]``: windows, without arithmetic or a copy."""
        slots = self.counting.as_strided((1, self.columns), (0, 1), length + before)
        positions = slots if self.straight else torch.from_numpy(self.offsets[1] + length)
        wide = self.visible.shape[1]
        return slots, positions, self.visible.as_strided((1, self.columns, extent), (0, wide, 1), self.reach - length)

    def of_many(self, lengths: list[int], void: list[int], extent: int) -> Places:
        """The same of several rows, of which the first so many columns are ``void``: they go to the trash slot, yet see one.

        Row by row: what is done to a whole rectangle at once costs more for its first call than this for a few numbers.
        """
        ends = np.array(lengths)
        (slots, positions), visible = ends[:, None] + self.offsets, beginnings(self, extent)[ends]
        for b, count in enumerate(void):
            if count:
                slots[b, :count], positions[b, :count], visible[b, :count, 0] = self.reach, 0, True
        return torch.from_numpy(slots), torch.from_numpy(positions), torch.from_numpy(visible)


@lru_cache(maxsize=512)
def window(before: Shape, new: Shape, text: int, reach: int) -> Window:
    """The last ``text`` tokens, causal, and new nodes; ``text`` is 0 where there are nodes before."""
    parents = before + new
    visible = torch.zeros(text + len(new), 2 * reach + len(parents), dtype=torch.bool)
    for j in range(text):
        visible[j, : reach - text + j + 1] = True
    place = np.arange(len(before) - text, len(parents))
    depth = place.copy()
    if new:
        seen = ancestors(parents, 1)[0, len(before) :]
        visible[text:, :reach] = True
        visible[text:, reach : reach + len(parents)] = seen
        depth[text:] = seen.sum(1).numpy() - 1
    straight, offsets = bool((place == depth).all()), np.stack((place, depth))[:, None]
    return Window(visible, reach, offsets, straight, torch.arange(-text, reach + len(parents)))


@lru_cache(maxsize=512)
def beginnings(shape: Window, extent: int) -> NDArray[np.bool_]:
    """``[reach + 1, columns, extent]``: what is visible by the text's length, every one a window onto one table."""
    columns, wide = shape.visible.shape
    return as_strided(shape.visible.numpy()[:, shape.reach :], (shape.reach + 1, columns, extent), (-1, wide, 1))


def feed_of(
    due: list[list[int]],
    tokens: Numbers | Tensor | None,
    before: Shape,
    new: Shape,
    text: int,
    lengths: list[int],
    live: list[bool],
    whole: bool,
    slots: int,
) -> Feed:
    """The columns of one call: ``due``, at most ``text`` of a row's text, right-aligned, then new nodes of constant topology.

    A row that idles has none, whatever its ``tokens``; ``whole``: no row idles.
    """
    shape, end = window(before, new, text, slots), max(lengths) + len(before) + len(new)
    extent = extent_of(end, shape.columns, slots)
    if len(lengths) == 1:  # it does not idle, and its text is what there is of text
        return Feed(ids_of(due, tokens), *shape.of_one(lengths[0], len(before), extent))
    void: list[int] = []
    if not whole or text and min(map(len, due)) < text:
        void = [text - len(row) if on else shape.columns for row, on in zip(due, live, strict=True)]
        due = [[0] * (text - len(row)) + row for row in due]
    return Feed(ids_of(due, tokens), *shape.of_many(lengths, void, extent))


def extent_of(end: int, columns: int, slots: int) -> int:
    """How many of a cache's slots are attended to where what is visible ends there: whole buckets.

    A single column does little but read keys and values, and what is fetched ahead ends where a head's slots do not lead on to
    the next head's: so it reads a cache to its end where that is near.
    """
    extent = -(-end // BUCKET) * BUCKET
    return slots if extent >= slots or columns == 1 and slots - extent < FETCHED else extent


def ids_of(due: list[list[int]], tokens: Numbers | Tensor | None) -> Tensor:
    """int64 ``[b, columns]``: text, then nodes; of these the tokens may be on a device, which is not asked for them."""
    if isinstance(tokens, Tensor):
        return torch.cat([from_numbers(due, np.int64).to(tokens.device), tokens], 1) if due[0] else tokens
    return from_numbers(due if tokens is None else list(map(add, due, tokens)), np.int64)


def text_due(view: View, seq: Sequence, lengths: list[int], live: list[bool]) -> tuple[list[list[int]], int]:
    """Each row's text that is due, and the longest of these texts."""
    suffix, begins, text = seq.tokens.numpy(), view.prefix_length.tolist(), 0
    ids: list[list[int]] = []
    for b, (begin, end, first) in enumerate(zip(begins, lengths, view.cached.tolist(), strict=True)):
        first = first if live[b] else end
        due = suffix[b, max(first - begin, 0) : end - begin].tolist()
        if first < begin:
            due = view.prefix[b, first:begin].tolist() + due
        ids.append(due)
        text = max(text, end - first)
    return ids, text
