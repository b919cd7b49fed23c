"""The cache that a transformers model is handed: it stores into a slot cache and owns nothing."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from transformers import Cache

from penstock.backends.runtime.cache import SlotCache
from penstock.backends.runtime.mixed_cache import MixedCache


class SlotWriter(Cache):
    """One forward call's door into a `SlotCache`: columns go to their slots, the first ``extent`` slots come back."""

    is_compileable = is_initialized = True
    is_croppable = False
    is_sliding = is_linear = is_dummy = ()  # windows live in the mask; every layer keeps every slot

    def __init__(self, cache: SlotCache | MixedCache, slots: Tensor, extent: int, layers: Iterable[Any] = ()) -> None:
        """``layers``: of transformers' own, where some have a state; it is theirs to keep."""
        super().__init__(layers=list(layers))
        self.cache, self.slots, self.extent = cache, slots, extent

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Store ``[b, heads, n, d]`` of one layer, then ``[b, heads, extent, d]`` of keys and values."""
        cache = self.cache
        cache.write(layer_idx, 0, self.slots, key_states)
        cache.write(layer_idx, 1, self.slots, value_states)
        return cache.read(layer_idx, 0, self.extent), cache.read(layer_idx, 1, self.extent)

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """How many slots a mask spans, and the first of them."""
        return self.extent, 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """A hint that nothing relies on: positions are always given."""
        return 0


class ShapeProbe(Cache):
    """Stores nothing; notes the shape of keys and values that each layer would store. States go to their ``layers``."""

    is_sliding = is_linear = is_dummy = ()

    def __init__(self, layers: Iterable[Any] = ()) -> None:
        super().__init__(layers=list(layers))
        self.shapes: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Note the shapes and hand the states through."""
        self.shapes[layer_idx] = (tuple(key_states.shape), tuple(value_states.shape))
        return key_states, value_states

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """The columns of the call themselves."""
        return query_length, 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Empty."""
        return 0
