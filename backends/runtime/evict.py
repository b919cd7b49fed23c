"""Eviction: a state kept as texts alone, its caches recomputed when it runs again."""

import torch

from penstock.backends.runtime.prefill import prefill
from penstock.ir.rows import State
from penstock.ir.standin import NoCache
from penstock.ir.state import Sequence, View


def evict(state: State) -> State:
    """Every view with nothing cached; its rows keep their texts, registers and the number of slots they need."""
    for view in (handle for handle in state.values() if isinstance(handle, View)):
        view.cache = NoCache(view.cache.slots)
        view.cached = torch.zeros_like(view.cached)
    return state


def restore(state: State) -> State:
    """New caches where they were evicted, the texts of running rows prefilled."""
    seq = state["seq"]
    assert isinstance(seq, Sequence)
    for view in (handle for handle in state.values() if isinstance(handle, View)):
        if isinstance(view.cache, NoCache):
            view.cache = view.model.new_cache(len(view.cached), view.cache.slots)
            prefill(view, seq)
    return state
