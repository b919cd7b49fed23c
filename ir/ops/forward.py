"""The one forward op, and `keep`, which after acceptance leaves a view with exactly the committed text in its slots."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.host import Feed
from penstock.ir.op import op
from penstock.ir.ops.tree import ancestors, with_parents
from penstock.ir.state import Sequence, View


@op("forward", consumes=1, borrows=1, takes_live=True)
def forward(
    view: View,
    seq: Sequence,
    tokens: Int[Tensor, "B M"] | None = None,
    parents: tuple[int, ...] | Int[Tensor, "B M"] = (),
    *,
    root: bool = False,
    embeds: Float[Tensor, "B M W"] | None = None,
    use_embed: Bool[Tensor, "B M"] | None = None,
    layers: tuple[int, int] | None = None,
    hidden: Float[Tensor, "B M W"] | None = None,
    want_hidden: bool = False,
    live: Bool[Tensor, "B"],
) -> tuple[View, Tensor, Any]:
    """Logits ``[b, root + m, v]`` of the root (if fed here) and of m more in-step nodes, and the hidden states if wanted.

    Feeding the root first catches the view up: the gap goes into the same call, as a chain before it. ``parents`` are node
    indices, -1 the root; ``hidden`` (with ``layers``) replaces the input of all returned columns. Without ``tokens`` these are
    the last columns that lower layers were fed, at their own slots: they go on, and nothing new is fed.
    """
    again = tokens is None and hidden is not None
    if again:
        assert hidden is not None
        tokens, parents = torch.zeros(len(hidden), hidden.shape[1] - root, dtype=torch.long), ()
    n = 0 if tokens is None else tokens.shape[1]
    due = text_due(replace(view, cached=view.length(seq) - 1) if again else view, seq, live) if root else None
    feed = node_columns(view, seq, tokens, parents, live) if n else None
    if embeds is not None and feed is not None:
        feed.embeds, feed.use_embed = embeds, use_embed
    gap = due.ids.shape[1] - 1 if due is not None else 0
    whole = joined(due, feed, view, seq)
    whole.layers, whole.want_hidden = layers, want_hidden
    if hidden is not None:
        whole.hidden = torch.cat([hidden.new_zeros(len(hidden), gap, hidden.shape[2]), hidden], 1)
    out = view.model.forward(view.cache, whole)
    if root:
        view.cached = torch.where(live, view.length(seq), view.cached)
    view.forwards = view.forwards + live * view.share(layers)
    if not again:
        view.fed = view.fed + torch.where(live, n, 0)
    if view.trail is not None and feed is not None and not again:
        view.trail = torch.cat([view.trail, input_vectors(feed, view)], 1)
    return view, out.logits[:, gap:], tuple(h[:, gap:] for h in out.hidden)


@op("forward", consumes=1, borrows=1, takes_live=True)
def catch_up(view: View, seq: Sequence, *, live: Bool[Tensor, "B"]) -> tuple[View]:
    """Feed the gap to all layers in a call of its own, so that a root fed to lower layers alone leaves none behind."""
    gap = feed_up_to(view, seq, view.length(seq) - 1, live)
    view.forwards = view.forwards + gap
    return (view,)


def feed_up_to(view: View, seq: Sequence, end: Tensor, live: Tensor) -> Tensor:
    """Feed what live rows' text has before index ``end [b]`` and the cache has not; the rows that had any."""
    due = live & (end > view.cached)
    if due.any():
        feed = text_due(view, replace(seq, length=end - view.prefix_length), due)
        feed.read = 1
        view.model.forward(view.cache, feed)
        view.cached = torch.where(due, end, view.cached)
    return due


def text_due(view: View, seq: Sequence, live: Tensor) -> Feed:
    """The columns of the text not cached yet, the root last; shorter rows are void on the left."""
    length = view.length(seq)
    due = torch.where(live, length - view.cached, 0)
    g = max(int(due.max()), 1)
    index = length[:, None] - g + torch.arange(g)
    there = (index >= view.cached[:, None]) & live[:, None]
    slots = torch.where(there, index, view.cache.slots)
    width = view.cache.slots + 1
    visible = torch.arange(width) <= torch.where(there, index, -1)[..., None]
    visible |= torch.arange(width) == slots[..., None]
    feed = Feed(text_ids(view, seq, index.clamp(min=0)), slots, torch.where(there, index, 0), visible)
    if view.override is not None and view.overridden is not None:
        suffix = (index - view.prefix_length[:, None]).clamp(min=0)
        rows = torch.arange(len(index))[:, None]
        feed.embeds = view.override[rows, suffix]
        feed.use_embed = view.overridden[rows, suffix] & (index >= view.prefix_length[:, None])
    return feed


def text_ids(view: View, seq: Sequence, index: Tensor) -> Tensor:
    """Token ids of a view's text at each index ``[b,n]``."""
    suffix = index - view.prefix_length[:, None]
    before = view.prefix.gather(1, index.clamp(max=view.prefix.shape[1] - 1))
    after = seq.line.gather(1, suffix.clamp(0, seq.line.shape[1] - 1))
    return torch.where(suffix < 0, before, after)


def node_columns(view: View, seq: Sequence, tokens: Tensor | None, parents: Any, live: Tensor) -> Feed:
    """The columns of in-step nodes: each sees the whole text, its ancestors and itself."""
    assert tokens is not None
    rows, n = tokens.shape
    view.parents = with_parents(view.parents, parents)
    seen = ancestors(view.parents, rows)[:, -n:]
    first = seen.shape[2] - n
    length = view.length(seq)
    slots = torch.where(live[:, None], length[:, None] + first + torch.arange(n), view.cache.slots)
    relative = torch.arange(view.cache.slots + 1) - length[:, None]
    inside = ((relative >= 0) & (relative < seen.shape[2]))[:, None]
    window = relative.clamp(0, seen.shape[2] - 1)[:, None].expand(rows, n, -1)
    visible = (relative < 0)[:, None] | inside & seen.expand(rows, -1, -1).gather(2, window)
    visible = visible & live[:, None, None] | (torch.arange(view.cache.slots + 1) == slots[..., None])
    return Feed(tokens, slots, torch.where(live[:, None], length[:, None] + seen.sum(2) - 1, 0), visible)


def joined(due: Feed | None, nodes: Feed | None, view: View, seq: Sequence) -> Feed:
    """One call: text due first, then nodes."""
    if due is None or nodes is None:
        feed = nodes if due is None else due
        assert feed is not None, "a forward feeds the root, nodes, or both"
        return feed
    feed = Feed(
        torch.cat([due.ids, nodes.ids], 1),
        torch.cat([due.slots, nodes.slots], 1),
        torch.cat([due.positions, nodes.positions], 1),
        torch.cat([due.visible, nodes.visible], 1),
    )
    if due.embeds is not None or nodes.embeds is not None:
        pair = [with_embeds(part, view) for part in (due, nodes)]
        feed.embeds, feed.use_embed = (torch.cat(both, 1) for both in zip(*pair, strict=True))
    return feed


def with_embeds(feed: Feed, view: View) -> tuple[Tensor, Tensor]:
    """Input vectors and where they apply, also for columns that have none."""
    if feed.embeds is not None and feed.use_embed is not None:
        return feed.embeds, feed.use_embed
    like = view.model.embed(feed.ids[:1, :1])
    return like.new_zeros(*feed.ids.shape, like.shape[-1]), torch.zeros_like(feed.ids, dtype=torch.bool)


def input_vectors(feed: Feed, view: View) -> Tensor:
    """``[b,n,w]``: what the model reads at each column."""
    embeds, use = with_embeds(feed, view)
    return torch.where(use[..., None], embeds, view.model.embed(feed.ids))


@op("state", consumes=1, borrows=1, takes_live=True)
def keep(view: View, seq: Sequence, node: Int[Tensor, "B M"], count: Int[Tensor, "B"], *, live: Bool[Tensor, "B"]) -> tuple[View]:
    """Keep the accepted path: committed token j was selected at site ``node[:,j]``, which sits at slot ``length + site - 1``.

    A view keeps the longest prefix of the path that it was fed; the rest of the new text is its next gap.
    Runs before `append`, while the text still ends at the root.
    """
    length = view.length(seq)
    path = node[:, 1:]
    column = torch.arange(path.shape[1])
    had = (column < (count - 1)[:, None]) & (path >= 1) & (path <= view.nodes[:, None]) & live[:, None]
    kept = had.long().cumprod(1).bool()
    if path.shape[1]:
        trash = view.cache.slots
        source = torch.where(kept, length[:, None] + path - 1, trash)
        view.cache.move(source, torch.where(kept, length[:, None] + column, trash))
    view.cached = view.cached + kept.sum(1)
    return (without_nodes(view),)


@op("state", consumes=1, takes_live=True)
def keep_first(view: View, count: Int[Tensor, "B"], *, live: Bool[Tensor, "B"]) -> tuple[View]:
    """`keep` of a path that can only be the first nodes in their order, as in a chain: their slots are where they belong."""
    view.cached = view.cached + torch.where(live, torch.minimum(count - 1, view.nodes), 0)
    return (without_nodes(view),)


def without_nodes(view: View) -> View:
    """The view after its step: what is in its slots behind the text is nothing any more."""
    view.fed, view.common, view.parents = torch.zeros_like(view.fed), 0, ()
    view.trail = None if view.trail is None else view.trail[:, :0]
    return view
