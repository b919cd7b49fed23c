"""Several feeds in one call of a model: what acts on columns by themselves runs once, attention part by part on its own cache."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache

from penstock.backends.runtime.cache import SlotCache
from penstock.backends.runtime.hf.attention import Call, Part
from penstock.backends.runtime.hf.slots import SlotWriter
from penstock.backends.runtime.mixed_cache import MixedCache
from penstock.ir.host import Feed

Caches = Sequence[SlotCache | MixedCache]


def rows_of(feeds: Sequence[Feed]) -> list[slice]:
    """The rows of each feed in the batch of all."""
    ends = torch.tensor([len(feed.ids) for feed in feeds]).cumsum(0).tolist()
    return [slice(end - len(feed.ids), end) for feed, end in zip(feeds, ends, strict=True)]


def columns_read(feed: Feed) -> int:
    """Of how many of its last columns the logits are read."""
    return feed.ids.shape[1] if feed.read is None else feed.read


def widened(feed: Feed, columns: int, trash: int) -> Feed:
    """The feed with void columns before it, as many as it takes to be ``columns`` wide."""
    void = columns - feed.ids.shape[1]
    ids, positions = pad(feed.ids, (void, 0)), pad(feed.positions, (void, 0))
    return Feed(ids, pad(feed.slots, (void, 0), value=trash), positions, pad(feed.visible, (0, 0, void, 0)))


def joined(feeds: Sequence[Feed]) -> Feed:
    """Feeds of equal width as one, rows after rows; nobody sees a slot beyond the last of its own."""
    extent = max(feed.visible.shape[2] for feed in feeds)
    visible = [pad(feed.visible, (0, extent - feed.visible.shape[2])) for feed in feeds]
    columns = [(feed.ids, feed.slots, feed.positions) for feed in feeds]
    return Feed(*(torch.cat(each) for each in zip(*columns, strict=True)), torch.cat(visible))


def positions_of(caches: Caches, extent: int) -> Tensor:
    """``[rows,extent]``: the logical positions of the slots of all caches."""
    return torch.cat([pad(held := cache.positions[:, :extent], (0, extent - held.shape[1])) for cache in caches])


class StackedWriter(Cache):
    """One call's door into several slot caches: a layer's states go, part by part, to where attention will look for them."""

    is_compileable = is_initialized = True
    is_croppable = False
    is_sliding = is_linear = is_dummy = ()

    def __init__(self, call: Call, caches: Caches, feeds: Sequence[Feed]) -> None:
        super().__init__(layers=[])
        self.call, self.rows = call, rows_of(feeds)
        self.writers = [SlotWriter(cache, feed.slots, feed.visible.shape[2]) for cache, feed in zip(caches, feeds, strict=True)]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Store ``[rows, heads, n, d]`` of one layer; the states come back as they are, a token for what attention is to read."""
        parts = []
        for rows, writer in zip(self.rows, self.writers, strict=True):
            parts.append(Part(rows, *writer.update(key_states[rows], value_states[rows], layer_idx)))
        assert self.call.stacked is not None
        self.call.stacked[id(key_states)] = key_states, value_states, parts
        return key_states, value_states

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """The slots of the part that has most, and the first of them."""
        return max(writer.extent for writer in self.writers), 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """A hint that nothing relies on: positions are always given."""
        return 0
