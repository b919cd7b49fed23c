"""What a model with recurrent layers keeps of a text: keys and values by slot, and states, which only go forward."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from penstock.backends.runtime.cache import SlotCache
from penstock.backends.runtime.mixed_cache import MixedCache

Name = tuple[int, str, int]
"""A layer, what transformers calls the kind of state (``conv``, ``recurrent``), and which of that kind."""
KINDS = ("conv", "recurrent")


class StateCache:
    """States ``[b, ...]`` by name beside a slot cache; ``begun [b]``: the rows that have any.

    They have no slots, so nothing moves.
    """

    def __init__(self, attended: SlotCache | MixedCache, states: dict[Name, Tensor], begun: Tensor) -> None:
        self.attended, self.states, self.begun = attended, states, begun

    @property
    def slots(self) -> int:
        return self.attended.slots

    def take(self, rows: Tensor) -> "StateCache":
        states = {name: state.index_select(0, rows) for name, state in self.states.items()}
        return StateCache(self.attended.take(rows), states, self.begun[rows])

    def put(self, rows: Tensor, part: "StateCache") -> None:
        """These rows from another cache, whose rows they were taken as."""
        for whole, some in zip(self.attended.leaves(), part.attended.leaves(), strict=True):
            whole[rows] = some
        for name, state in part.states.items():
            self._state(name, state)[rows] = state
        self.begun[rows] = part.begun

    def cat(self, *others: "StateCache") -> "StateCache":
        caches = (self, *others)
        shapes = {name: state for cache in caches for name, state in cache.states.items()}
        states = {name: torch.cat([cache._state(name, like) for cache in caches]) for name, like in shapes.items()}
        begun = torch.cat([cache.begun for cache in caches])
        return StateCache(self.attended.cat(*(other.attended for other in others)), states, begun)

    def move(self, source: Tensor, target: Tensor) -> None:
        """Raises ValueError unless it moves nothing: what was fed stays fed."""
        if bool(((source != target) & (target != self.slots)).any()):
            raise ValueError("a recurrent state cannot be taken back")

    def clear_from(self, first: Tensor) -> None:
        """Rows without a text have no state; that of others is of all their text, which has no slots beyond."""
        self.attended.clear_from(first)
        self.begun &= first > 0
        for state in self.states.values():
            state[~self.begun] = 0

    def leaves(self) -> Sequence[Tensor]:
        return [*self.attended.leaves(), *(self.states[name] for name in sorted(self.states)), self.begun]

    def load(self, layers: Sequence[Any]) -> None:
        """Hand the states of rows that have begun to layers of transformers, which write to them in place."""
        for (layer, kind, i), state in self.states.items():
            getattr(layers[layer], f"{kind}_states")[i] = state
            getattr(layers[layer], f"is_{kind}_states_initialized")[i] = True
            layers[layer].has_previous_state[i] = True
            layers[layer].device, layers[layer].dtype = state.device, state.dtype
            if kind == "conv":
                layers[layer].conv_kernel_size[i] = state.shape[-1]

    def save(self, layers: Sequence[Any]) -> None:
        """Take the states that the layers have now; every row has begun."""
        for layer, each in enumerate(layers):
            for kind in KINDS:
                for i, state in getattr(each, f"{kind}_states", {}).items():
                    if state is not None:
                        self.states[layer, kind, i] = state
        self.begun.fill_(True)

    def _state(self, name: Name, like: Tensor) -> Tensor:
        """A state, of zeros where no row has begun."""
        if name not in self.states:
            self.states[name] = like.new_zeros(len(self.begun), *like.shape[1:])
        return self.states[name]
