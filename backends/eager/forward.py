"""`forward`, `keep` and `append` for the host: geometry comes from constant tables, row numbers are Python integers."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from penstock.ir.host import Feed
from penstock.ir.ops import forward as meaning
from penstock.ir.ops.sequence import append as append_op
from penstock.ir.ops.tree import ancestors
from penstock.ir.state import EOS, LENGTH, RUNNING, Sequence, View

BUCKET = 64
"""Slots attended to are rounded up to a multiple of this."""


@lru_cache(maxsize=8)
def counting(size: int) -> Tensor:
    """0, 1, 2, ..."""
    return torch.arange(size)


@lru_cache(maxsize=512)
def window(before: tuple[int, ...], new: tuple[int, ...], text: int, reach: int) -> tuple[Tensor, Tensor]:
    """``(visible [text + n, 2 reach + nodes], depth [text + n])`` relative to the end of the text, which is column ``reach``.

    The first ``text`` rows are the last tokens of the text, causal; the others are new nodes below ``before``.
    """
    parents = before + new
    table = torch.zeros(text + len(new), 2 * reach + len(parents), dtype=torch.bool)
    for j in range(text):
        table[j, : reach - text + j + 1] = True
    depth = torch.arange(-text, len(new))
    if new:
        seen = ancestors(parents, 1)[0, len(before) :]
        table[text:, :reach] = True
        table[text:, reach : reach + len(parents)] = seen
        depth[text:] = seen.sum(1) - 1
    return table, depth


def forward(
    view: View,
    seq: Sequence,
    tokens: Tensor | None = None,
    parents: Any = (),
    *,
    root: bool = False,
    embeds: Tensor | None = None,
    use_embed: Tensor | None = None,
    layers: tuple[int, int] | None = None,
    hidden: Tensor | None = None,
    want_hidden: bool = False,
    live: Tensor,
) -> tuple[View, Tensor, Any]:
    """As `ir.ops.forward.forward`; what it does not know by table it leaves to the meaning."""
    again = hidden is not None and tokens is None
    irregular = hidden is not None and not again or view.trail is not None or root and not again and reads_overrides(view, seq)
    static = isinstance(parents, tuple) and isinstance(view.parents, tuple)
    if irregular or not static or not bool(live.all()):
        return meaning.forward.meaning(  # type: ignore[no-any-return]
            view, seq, tokens, parents, root=root, embeds=embeds, use_embed=use_embed,
            layers=layers, hidden=hidden, want_hidden=want_hidden, live=live,
        )  # fmt: skip
    lengths = [p + s for p, s in zip(view.prefix_length.tolist(), seq.length.tolist(), strict=True)]
    if again:
        assert hidden is not None
        return view, *going_on(view, seq, hidden, root, lengths, layers, want_hidden)
    due = [length - cached for length, cached in zip(lengths, view.cached.tolist(), strict=True)] if root else [0]
    text = max(due) if root else 0
    before: tuple[int, ...] = view.parents  # type: ignore[assignment]
    feed = static_feed(view, seq, tokens, before, parents, lengths, text, due)
    feed.layers, feed.want_hidden = layers, want_hidden
    if embeds is not None and use_embed is not None:  # for nodes; the text before them reads its tokens
        feed.embeds, feed.use_embed = (torch.cat([x.new_zeros(len(x), text, *x.shape[2:]), x], 1) for x in (embeds, use_embed))
    out = view.model.forward(view.cache, feed)
    if root:
        view.cached = torch.tensor(lengths)
    view.fed = view.fed + len(parents)
    view.parents = before + parents
    skip = max(text - 1, 0)
    return view, out.logits[:, skip:] if skip else out.logits, tuple(h[:, skip:] for h in out.hidden)


def going_on(
    view: View, seq: Sequence, hidden: Tensor, root: bool, lengths: list[int], layers: tuple[int, int] | None, want_hidden: bool
) -> tuple[Tensor, Any]:
    """Layers above those that fed the last columns, on the states that these left, at the same slots."""
    first = len(view.parents) - (hidden.shape[1] - root)
    before, again = view.parents[:first], view.parents[first:]
    tokens = torch.zeros(len(hidden), len(again), dtype=torch.long) if again else None
    feed = static_feed(view, seq, tokens, before, again, lengths, int(root), [1])  # type: ignore[arg-type]
    feed.layers, feed.hidden, feed.want_hidden = layers, hidden, want_hidden
    out = view.model.forward(view.cache, feed)
    return out.logits, out.hidden


def reads_overrides(view: View, seq: Sequence) -> bool:
    """Whether some row has an input vector of its own among the text that is due."""
    if view.overridden is None:
        return False
    spans = zip((view.cached - view.prefix_length).tolist(), seq.length.tolist(), strict=True)
    return any(bool(view.overridden[b, max(first, 0) : end].any()) for b, (first, end) in enumerate(spans))


def static_feed(
    view: View,
    seq: Sequence,
    tokens: Tensor | None,
    before: tuple[int, ...],
    parents: tuple[int, ...],
    lengths: list[int],
    text: int,
    due: list[int],
) -> Feed:
    """The columns of one call where the topology is constant and all rows are live: nodes below those ``before`` them."""
    n, slots = len(parents), view.cache.slots
    table, depth = window(before, parents, text, slots)
    extent = min(-(-(max(lengths) + len(before) + n) // BUCKET) * BUCKET, slots)
    visible = rows_of([table[:, slots - length : slots - length + extent] for length in lengths])
    positions = rows_of([depth + length for length in lengths])
    if len(before) + n < 2 or parents == tuple(range(len(before) - 1, len(before) + n - 1)):
        placed = positions
    else:
        nodes = torch.tensor(lengths)[:, None] + counting(slots)[len(before) : len(before) + n]
        placed = torch.cat([positions[:, :text], nodes], 1)
    ids = tokens if not text else last_of_text(view, seq, lengths, text)
    if text and tokens is not None:
        ids = torch.cat([ids, tokens], 1)  # type: ignore[list-item]
    if text and min(due) < text:  # rows with a shorter gap: their first columns are void
        void = counting(slots)[:text] < (text - torch.tensor(due))[:, None]
        placed = placed.clone()
        placed[:, :text] = torch.where(void, slots, placed[:, :text])
        positions = positions.clamp(min=0)
        visible = visible.clone()
        visible[:, :text, 0] |= void
    assert ids is not None
    return Feed(ids, placed, positions, visible)


def rows_of(parts: list[Tensor]) -> Tensor:
    """Rows as a batch, without a copy where there is one."""
    return parts[0][None] if len(parts) == 1 else torch.stack(parts)


def last_of_text(view: View, seq: Sequence, lengths: list[int], text: int) -> Tensor:
    """The last ``text`` tokens of every row's text."""
    prefixes = view.prefix_length.tolist()
    if all(length - text >= prefix for length, prefix in zip(lengths, prefixes, strict=True)):
        ends = [length - p for length, p in zip(lengths, prefixes, strict=True)]
        return rows_of([seq.tokens[b, end - text : end] for b, end in enumerate(ends)])
    index = torch.tensor(lengths)[:, None] - text + counting(view.cache.slots)[:text]
    return meaning.text_ids(view, seq, index.clamp(min=0))


def keep(view: View, seq: Sequence, node: Tensor, count: Tensor, *, live: Tensor) -> tuple[View]:
    """As `ir.ops.forward.keep`; nothing moves where the accepted path is the first nodes in order."""
    counts, path, running = count.tolist(), node.tolist(), live.tolist()
    fed, prefixes, lengths = view.fed.tolist(), view.prefix_length.tolist(), seq.length.tolist()
    kept, moves = [0] * len(counts), False
    for b, (c, nodes, on) in enumerate(zip(counts, path, running, strict=True)):
        while on and kept[b] < c - 1 and 1 <= nodes[kept[b] + 1] <= fed[b]:
            moves = moves or nodes[kept[b] + 1] != kept[b] + 1
            kept[b] += 1
    if moves:
        longest, trash = max(kept), view.cache.slots
        text = [p + s for p, s in zip(prefixes, lengths, strict=True)]
        source = [[text[b] + path[b][j + 1] - 1 if j < k else trash for j in range(longest)] for b, k in enumerate(kept)]
        target = [[text[b] + j if j < k else trash for j in range(longest)] for b, k in enumerate(kept)]
        view.cache.move(torch.tensor(source), torch.tensor(target))
    if any(kept):
        view.cached = view.cached + torch.tensor(kept)
    view.fed.zero_()
    view.parents = ()
    view.trail = None if view.trail is None else view.trail[:, :0]
    return (view,)


def append(seq: Sequence, tokens: Tensor, count: Tensor, eos: tuple[int, ...], *, live: Tensor) -> tuple[Sequence]:
    """As `ir.ops.sequence.append`, for one row by slices."""
    if len(tokens) > 1 or not bool(live):
        return append_op.meaning(seq, tokens, count, eos, live=live)  # type: ignore[no-any-return]
    length, n = int(seq.length), int(count)
    seq.tokens[0, length : length + n] = tokens[0, :n]
    seq.length += n
    seq.steps += 1
    if eos and int(tokens[0, n - 1]) in eos:
        seq.status[0] = EOS
    elif length + n >= int(seq.limit) and int(seq.status) == RUNNING:
        seq.status[0] = LENGTH
    return (seq,)
