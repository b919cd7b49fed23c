"""Prefill: long prompts enter the cache in chunks of their own, before the first step feeds what is left."""

import torch

from penstock.ir.ops.forward import feed_up_to
from penstock.ir.rows import State
from penstock.ir.state import Sequence, View

CHUNK = 128
"""A gap longer than this is fed in calls of this many columns."""


def prefill(view: View, seq: Sequence, chunk: int = CHUNK) -> None:
    """Feed the text up to the root, chunk by chunk, until at most ``chunk`` tokens are due.

    A model that reads chunks otherwise than a whole text gets the text whole, with the first step.
    """
    if "chunk" not in view.model.capabilities:
        return
    with torch.inference_mode():
        while bool((due := seq.live & (view.length(seq) - view.cached > chunk)).any()):
            feed_up_to(view, seq, view.cached + chunk, due)


def prefilled(state: State) -> State:
    """Every view with its prompt prefilled."""
    seq = state["seq"]
    assert isinstance(seq, Sequence)
    for view in (handle for handle in state.values() if isinstance(handle, View)):
        prefill(view, seq)
    return state
