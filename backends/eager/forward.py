"""`forward` on the host: what it does not know by table it leaves to the meaning."""

from operator import add
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.feed import feed_of, text_due
from penstock.backends.eager.places import Numbers, from_numbers
from penstock.backends.eager.state import increase, write
from penstock.ir.host import Feed
from penstock.ir.ops import forward as meaning
from penstock.ir.state import Sequence, View


def forward(
    view: View,
    seq: Sequence,
    tokens: Numbers | None = None,
    parents: Any = (),
    *,
    root: bool = False,
    embeds: Tensor | None = None,
    use_embed: Tensor | None = None,
    layers: tuple[int, int] | None = None,
    hidden: Tensor | None = None,
    want_hidden: bool = False,
    live: Numbers,
) -> tuple[View, Tensor, Any]:
    again = hidden is not None and tokens is None
    irregular = hidden is not None and not again or view.trail is not None or root and not again and reads_overrides(view, seq)
    if irregular or not isinstance(parents, tuple) or not isinstance(view.parents, tuple) or not any(live):
        return meaning.forward.meaning(  # type: ignore[no-any-return]
            view, seq, from_numbers(tokens, np.int64) if isinstance(tokens, list) else tokens, parents, root=root, embeds=embeds,
            use_embed=use_embed, layers=layers, hidden=hidden, want_hidden=want_hidden, live=from_numbers(live, np.bool_),
        )  # fmt: skip
    lengths, whole = list(map(add, view.prefix_length.tolist(), seq.length.tolist())), all(live)
    if again:
        feed, text = once_more(view, hidden, root, lengths, live), int(root)
    else:
        due, text = text_due(view, seq, lengths, live) if root else ([[]] * len(lengths), 0)
        feed = feed_of(due, tokens, view.parents, parents, text, lengths, live, whole, view.cache.slots)
        if embeds is not None and use_embed is not None:
            feed.embeds, feed.use_embed = behind(text, embeds), behind(text, use_embed)
    gap = max(text - 1, 0)
    feed.layers, feed.want_hidden, feed.read = layers, want_hidden, feed.slots.shape[1] - gap
    share = 1.0 if layers is None else view.share(layers)
    count_fed(view, () if again else parents, lengths if root else None, live, whole, share)
    out = view.model.forward(view.cache, feed)
    logits = out.logits if out.logits.shape[1] == feed.read else out.logits[:, -feed.read :]
    return view, logits, tuple([h[:, gap:] for h in out.hidden]) if out.hidden else ()


def behind(text: int, nodes: Tensor) -> Tensor:
    """What nodes read instead of their tokens, behind columns of text, which read theirs."""
    return torch.cat([nodes.new_zeros(len(nodes), text, *nodes.shape[2:]), nodes], 1)


def count_fed(
    view: View, parents: tuple[int, ...], lengths: list[int] | None, live: list[bool], whole: bool, share: float
) -> None:
    """What the view has in its slots now, the text of live rows where it was fed, and more nodes; and what it cost."""
    if parents:
        view.parents += parents  # type: ignore[operator]
    if whole:
        view.spent += share
        view.common += len(parents)
        if lengths:
            write(view.cached, lengths)
        return
    view.forwards += from_numbers(live, np.float64) * share
    increase(view.fed, [len(parents) * on for on in live])
    if lengths:
        write(view.cached, [n if on else c for n, c, on in zip(lengths, view.cached.tolist(), live, strict=True)])


def once_more(view: View, hidden: Any, root: bool, lengths: list[int], live: list[bool]) -> Feed:
    """Layers above those that fed the last columns, on the states that these left, at the same slots."""
    first = len(view.parents) - (hidden.shape[1] - root)
    before, nodes = view.parents[:first], view.parents[first:]
    due, tokens = [[0] * root for _ in live], [[0] * len(nodes) for _ in live]
    feed = feed_of(due, tokens, before, nodes, int(root), lengths, live, all(live), view.cache.slots)  # type: ignore[arg-type]
    feed.hidden = hidden
    return feed


def reads_overrides(view: View, seq: Sequence) -> bool:
    """Whether some row has an input vector of its own among the text that is due."""
    if view.overridden is None:
        return False
    spans = zip((view.cached - view.prefix_length).tolist(), seq.length.tolist(), strict=True)
    return any(bool(view.overridden[b, max(first, 0) : end].any()) for b, (first, end) in enumerate(spans))
