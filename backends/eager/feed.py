"""What one forward call is fed, on the host: geometry from constant tables, row numbers as Python integers."""

from dataclasses import dataclass
from functools import lru_cache
from operator import add

import numpy as np
import torch
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


@dataclass(frozen=True)
class Window:
    """The columns of one call, counted from the end of the text: due text first, then nodes behind those fed before."""

    visible: Tensor
    """bool ``[columns, 2 reach + nodes]``; the text ends at ``reach``."""
    place: NDArray[np.int64]
    """``[columns]``: makes slots; consecutive."""
    depth: NDArray[np.int64] | None
    """``[columns]``: makes positions; None where they are the slots."""
    counting: Tensor
    """int64 ``[w]``: from ``-text`` on, the slots of a single row whatever its text's length."""

    def slots(self, lengths: list[int], before: int) -> Tensor:
        """int64 ``[b, columns]``."""
        if len(lengths) == 1:  # without arithmetic: a window, as of the mask
            return self.counting.as_strided((1, len(self.place)), (0, 1), lengths[0] + before)
        return torch.from_numpy(np.array(lengths)[:, None] + self.place)


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
    straight = bool((place == depth).all())
    return Window(visible, place, None if straight else depth, torch.arange(-text, reach + len(parents)))


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
    shape = window(before, new, text, slots)
    extent = extent_of(max(lengths) + len(before) + len(new), len(shape.place), slots)
    placed = shape.slots(lengths, len(before))
    positions = placed if shape.depth is None else torch.from_numpy(np.array(lengths)[:, None] + shape.depth)
    visible = shifted(shape.visible, [slots - n for n in lengths], extent)
    feed = Feed(placed, placed, positions, visible)
    if not whole or text and min(map(len, due)) < text:
        due = with_voids(feed, due, text, live, slots)
    feed.ids = ids_of(due, tokens)
    return feed


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


def with_voids(feed: Feed, due: list[list[int]], text: int, live: list[bool], slots: int) -> list[list[int]]:
    """Columns that a row has nothing for go to the trash slot, and see something: ``due`` with zeros for them."""
    columns = feed.slots.shape[1]
    missing = [text - len(row) if on else columns for row, on in zip(due, live, strict=True)]
    void = np.arange(columns) < np.array(missing)[:, None]
    feed.slots = torch.from_numpy(np.where(void, slots, feed.slots.numpy()))
    feed.positions = torch.from_numpy(np.where(void, 0, feed.positions.numpy()))
    feed.visible.numpy()[:, :, 0] |= void  # of several rows, so no window onto a table
    return [[0] * (text - len(row)) + row for row in due]


def shifted(table: Tensor, starts: list[int], width: int) -> Tensor:
    """``width`` columns of the table ``[n,w]`` from each row's own start on: ``[b,n,width]``; of one row, no copy."""
    rows, columns = table.shape
    if len(starts) == 1:
        return table.as_strided((1, rows, width), (0, columns, 1), starts[0])
    windows = table.as_strided((columns - width + 1, rows, width), (1, columns, 1))
    return windows.index_select(0, from_numbers(starts, np.int64))


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
