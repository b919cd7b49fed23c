"""Growing a state: a higher limit, and buffers with room for it."""

import torch

from penstock.ir.rows import State, padded
from penstock.ir.state import LENGTH, RUNNING, Sequence, View


def grow(state: State, limit: int, nodes: int) -> State:
    """Rows may get to ``limit`` tokens, those that a lower limit had ended too; ``nodes`` in-step nodes have room after them."""
    seq, room = state["seq"], limit + nodes + 1
    assert isinstance(seq, Sequence)
    seq.limit = seq.limit.clamp(min=limit)
    seq.status = torch.where((seq.status == LENGTH) & (seq.length < seq.limit), RUNNING, seq.status)
    if room > seq.tokens.shape[1]:
        seq.tokens = padded(seq.tokens, [room])
    for view in (handle for handle in state.values() if isinstance(handle, View)):
        with_room(view, room)
    return state


def with_room(view: View, room: int) -> None:
    """Slots for a suffix of ``room``, and places for the vectors that it may read there."""
    slots = view.prefix.shape[1] + room
    if slots > view.cache.slots:
        view.cache = view.cache.cat(view.model.new_cache(0, slots))
    if view.override is not None and view.overridden is not None and room > view.overridden.shape[1]:
        view.override = padded(view.override, [room, view.override.shape[2]])
        view.overridden = padded(view.overridden, [room])
