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
    """The columns of one call, counted from the end of the text: due text first, then nodes below those fed before."""

    visible: Tensor
    """bool ``[1, columns, 2 reach + nodes]``; the text ends at ``reach``."""
    place: NDArray[np.int64]
    """``[columns]``: makes slots."""
    depth: NDArray[np.int64]
    """``[columns]``: makes positions; the same array where no two columns are siblings."""


@lru_cache(maxsize=512)
def window(before: Shape, new: Shape, text: int, reach: int) -> Window:
    """The last ``text`` tokens, causal, and new nodes."""
    parents = before + new
    visible = torch.zeros(1, text + len(new), 2 * reach + len(parents), dtype=torch.bool)
    for j in range(text):
        visible[0, j, : reach - text + j + 1] = True
    place = np.concatenate([np.arange(-text, 0), np.arange(len(before), len(parents))])
    depth = place.copy()
    if new:
        seen = ancestors(parents, 1)[0, len(before) :]
        visible[0, text:, :reach] = True
        visible[0, text:, reach : reach + len(parents)] = seen
        depth[text:] = seen.sum(1).numpy() - 1
    return Window(visible, place, place if (place == depth).all() else depth)


def feed_of(
    tails: list[list[int]], tokens: Numbers | None, before: Shape, new: Shape, lengths: list[int], live: list[bool], slots: int
) -> Feed:
    """The columns of one call: each row's due text, right-aligned, then new nodes of constant topology; idle rows have none."""
    due = [len(tail) for tail in tails]
    text = max(due)
    shape = window(before, new, text, slots)
    extent = min(-(-(max(lengths) + len(before) + len(new)) // BUCKET) * BUCKET, slots)
    ends = np.array(lengths)[:, None]
    placed = torch.from_numpy(ends + shape.place)
    positions = placed if shape.depth is shape.place else torch.from_numpy(ends + shape.depth)
    ids = tails if tokens is None else [tail + row for tail, row in zip(tails, tokens, strict=True)]
    feed = Feed(None, placed, positions, shifted(shape.visible, [slots - n for n in lengths], extent))  # type: ignore[arg-type]
    if min(due) < text or not all(live):
        ids = with_voids(feed, ids, live, slots)
    feed.ids = from_numbers(ids, np.int64)
    return feed


def with_voids(feed: Feed, ids: list[list[int]], live: list[bool], slots: int) -> list[list[int]]:
    """Columns that a row has nothing for go to the trash slot, and see something."""
    columns = feed.slots.shape[1]
    missing = [columns - len(row) if on else columns for row, on in zip(ids, live, strict=True)]
    void = torch.from_numpy(np.arange(columns) < np.array(missing)[:, None])
    feed.slots, feed.positions = feed.slots.masked_fill(void, slots), feed.positions.masked_fill(void, 0)
    feed.visible = feed.visible.clone()
    feed.visible[:, :, 0] |= void
    return [[0] * (columns - len(row)) + row for row in ids]


def shifted(table: Tensor, starts: list[int], width: int) -> Tensor:
    """``width`` columns of the table from each row's own start on: ``[b, rows, width]``; of one row, no copy."""
    if len(starts) == 1:
        return table.narrow(2, starts[0], width)
    _, rows, columns = table.shape
    windows = table.as_strided((columns - width + 1, rows, width), (1, columns, 1))
    return windows.index_select(0, from_numbers(starts, np.int64))


def text_tails(view: View, seq: Sequence, lengths: list[int], due: list[int]) -> list[list[int]]:
    """The last ``due`` tokens of every row's text."""
    if not any(due):
        return [[] for _ in due]
    suffix, begins, tails = seq.tokens.numpy(), view.prefix_length.tolist(), list[list[int]]()
    for b, (begin, end, count) in enumerate(zip(begins, lengths, due, strict=True)):
        first = end - count
        tail = suffix[b, max(first - begin, 0) : end - begin].tolist()
        tails.append(tail if first >= begin else view.prefix[b, first:begin].tolist() + tail)
    return tails
