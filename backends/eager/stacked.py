"""`forward_stacked` on the host: one call of the model for all views, where its columns are not mostly padding."""

from collections.abc import Sequence as Several
from dataclasses import dataclass
from itertools import chain
from operator import add
from typing import Any

import numpy as np

from penstock.backends.eager.feed import feed_of, text_due
from penstock.backends.eager.forward import count_fed, forward
from penstock.backends.eager.places import Numbers, from_numbers
from penstock.ir.host import Feed, Forwarded
from penstock.ir.ops.stacked import Asked, options
from penstock.ir.state import Sequence, View

PADDED = 1.5
"""Columns of one call, padded to the widest part, over those of calls of their own: beyond, the calls are made apart."""


def forward_stacked(*handles: Any, asked: Numbers, live: Numbers) -> tuple[Any, ...]:
    *views, seq = handles
    if any(view.model is not views[0].model for view in views) or not any(live) or not all(map(regular, views, asked)):
        each = [apart(view, seq, one, live) for view, one in zip(views, asked, strict=True)]
        return (*views, *chain.from_iterable(answer for _, *answer in each))
    parts = [part_of(view, seq, one, live) for view, one in zip(views, asked, strict=True)]
    return (*views, *chain.from_iterable(part.answer(out, live) for part, out in zip(parts, called(parts), strict=True)))


def apart(view: View, seq: Sequence, asked: Asked, live: list[bool]) -> tuple[Any, ...]:
    """A view's forward by itself."""
    tokens, parents, *more = asked
    above = from_numbers(parents, np.int64) if isinstance(parents, list) else parents
    return forward(view, seq, tokens, above, live=live, **options(*more))


def regular(view: View, asked: Asked) -> bool:
    """Whether the view's columns are known by table: neither a topology nor an input that differs by row."""
    return isinstance(asked[1], tuple) and isinstance(view.parents, tuple) and view.trail is None and view.overridden is None


@dataclass(slots=True)
class Part:
    """What one view is fed in a call."""

    view: View
    feed: Feed
    text: int
    """Columns of text that come first; an answer is wanted of the last."""
    new: tuple[int, ...]
    lengths: list[int] | None
    """Of the rows' texts, where these are fed."""

    def answer(self, out: Forwarded, live: list[bool]) -> tuple[Any, Any]:
        """``(logits, hidden states)`` of the columns that were asked for; the view has them in its slots now."""
        count_fed(self.view, self.new, self.lengths, live, all(live), 1.0)
        gap = max(self.text - 1, 0)
        return out.logits[:, -self.feed.read :], tuple([states[:, gap:] for states in out.hidden])


def part_of(view: View, seq: Sequence, asked: Asked, live: list[bool]) -> Part:
    """A view's columns."""
    tokens, parents, root, want_hidden = asked
    lengths = list(map(add, view.prefix_length.tolist(), seq.length.tolist()))
    due, text = text_due(view, seq, lengths, live) if root else ([[]] * len(lengths), 0)
    feed = feed_of(due, tokens, view.parents, parents, text, lengths, live, all(live), view.cache.slots)  # type: ignore[arg-type]
    feed.want_hidden, feed.read = want_hidden, feed.slots.shape[1] - max(text - 1, 0)
    return Part(view, feed, text, parents, lengths if root else None)


def called(parts: Several[Part]) -> list[Forwarded]:
    """What the model answers to each part: in one call, unless that would be mostly padding."""
    model, feeds = parts[0].view.model, [part.feed for part in parts]
    columns = [feed.ids.shape[1] for feed in feeds]
    if max(columns) * len(columns) > PADDED * sum(columns):
        return [model.forward(part.view.cache, part.feed) for part in parts]
    return model.forward_stacked([part.view.cache for part in parts], feeds)
