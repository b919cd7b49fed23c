"""Prefill: long prompts enter the cache in chunks of their own, before the first step feeds what is left."""

import torch

from penstock.ir.ops.forward import text_due
from penstock.ir.state import Sequence, View

CHUNK = 128
"""A gap longer than this is fed in calls of this many columns."""


def prefill(view: View, seq: Sequence, chunk: int = CHUNK) -> None:
    """Feed the text up to the root, chunk by chunk, until at most ``chunk`` tokens are due."""
    live = seq.live
    with torch.inference_mode():
        while True:
            length = view.length(seq)
            upto = torch.minimum(view.cached + chunk, length)
            due = live & (length - view.cached > chunk)
            if not bool(due.any()):
                return
            partial = Sequence(seq.tokens, upto - view.prefix_length, seq.status, seq.steps, seq.key, seq.limit)
            view.model.forward(view.cache, text_due(view, partial, due))
            view.cached = torch.where(due, upto, view.cached)
