"""What one forward call is fed, on the host: geometry from constant tables, row numbers as Python integers."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penstock.backends.eager.places import Numbers, from_numbers
from penstock.ir.host import Feed
from penstock.ir.ops.tree import ancestors
from penstock.ir.state import Sequence, View

BUCKET = 64
"""Slots attended to are rounded up to a multiple of this."""

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
    ids: list[list[int]], before: Shape, new: Shape, text: int, lengths: list[int], live: list[bool], whole: bool, slots: int
) -> Feed:
    """The columns of one call: at most ``text`` of a row's text, right-aligned, then new nodes of constant topology.

    A row that idles has none, whatever its ``ids``; ``whole``: no row idles.
    """
    shape = window(before, new, text, slots)
    extent = min(-(-(max(lengths) + len(before) + len(new)) // BUCKET) * BUCKET, slots)
    placed = shape.slots(lengths, len(before))
    positions = placed if shape.depth is None else torch.from_numpy(np.array(lengths)[:, None] + shape.depth)
    visible = shifted(shape.visible, [slots - n for n in lengths], extent)
    feed = Feed(placed, placed, positions, visible)
    if not whole or text and min(map(len, ids)) < len(shape.place):
        ids = with_voids(feed, ids, live, slots)
    feed.ids = from_numbers(ids, np.int64)
    return feed


def with_voids(feed: Feed, ids: list[list[int]], live: list[bool], slots: int) -> list[list[int]]:
    """Columns that a row has nothing for go to the trash slot, and see something."""
    columns = feed.slots.shape[1]
    missing = [columns - len(row) if on else columns for row, on in zip(ids, live, strict=True)]
    void = np.arange(columns) < np.array(missing)[:, None]
    feed.slots = torch.from_numpy(np.where(void, slots, feed.slots.numpy()))
    feed.positions = torch.from_numpy(np.where(void, 0, feed.positions.numpy()))
    feed.visible.numpy()[:, :, 0] |= void  # of several rows, so no window onto a table
    return [[0] * (columns - len(row)) + row for row in ids]


def shifted(table: Tensor, starts: list[int], width: int) -> Tensor:
    """``width`` columns of the table ``[n,w]`` from each row's own start on: ``[b,n,width]``; of one row, no copy."""
    rows, columns = table.shape
    if len(starts) == 1:
        return table.as_strided((1, rows, width), (0, columns, 1), starts[0])
    windows = table.as_strided((columns - width + 1, rows, width), (1, columns, 1))
    return windows.index_select(0, from_numbers(starts, np.int64))


def with_text(
    view: View, seq: Sequence, tokens: Numbers | None, lengths: list[int], live: list[bool]
) -> tuple[list[list[int]], int]:
    """Each row's text that is due, before its nodes' tokens, and the longest of these texts."""
    suffix, begins, text = seq.tokens.numpy(), view.prefix_length.tolist(), 0
    ids: list[list[int]] = []
    for b, (begin, end, first) in enumerate(zip(begins, lengths, view.cached.tolist(), strict=True)):
        first = first if live[b] else end
        due = suffix[b, max(first - begin, 0) : end - begin].tolist()
        if first < begin:
            due = view.prefix[b, first:begin].tolist() + due
        ids.append(due if tokens is None else due + tokens[b])
        text = max(text, end - first)
    return ids, text
