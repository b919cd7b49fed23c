"""Table models: exact little models whose every mistake in cache, mask or position shows in the logits.

Layer l maps what a position holds and what the position before it holds to the next state by a bilinear table; ids are embedded
one-hot, so soft tokens work. Context reaches a column only through slots that `visible` shows at the right position.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from penstock.backends.runtime.cache import SlotCache
from penstock.ir.host import Feed, Forwarded

CAPABILITIES = frozenset({"tree", "chunk", "embeds", "layers", "hidden", "kv_read", "bidirectional", "stack"})


class TableModel:
    """A seeded model of order ``layers + 1`` over ``vocab`` tokens; exits after every layer."""

    capabilities = CAPABILITIES
    mask: int | None = None

    def __init__(
        self, vocab: int, seed: int, layers: int = 1, *, sharpness: float = 1.5, dtype: torch.dtype = torch.float64
    ) -> None:
        draws = torch.Generator().manual_seed(seed)
        self.name, self.vocab, self.width, self.layers = f"table:{vocab}:{seed}", vocab, vocab, layers
        shape = (layers, vocab + 1, vocab + 1, vocab)
        self.tables = (torch.randn(shape, generator=draws, dtype=torch.float64) * sharpness).to(dtype)

    def new_cache(self, rows: int, slots: int) -> SlotCache:
        return SlotCache.empty(rows, slots, layers=self.layers, heads=1, width=self.width, kinds=1, dtype=self.tables.dtype)

    def embed(self, ids: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(ids, self.width).to(self.tables)

    def forward(self, cache: SlotCache, feed: Feed) -> Forwarded:
        low, high = feed.layers or (0, self.layers)
        state = self.embed(feed.ids) if low == 0 else feed.hidden
        assert state is not None, "a range of layers that does not begin at 0 needs hidden states"
        if low == 0 and feed.embeds is not None and feed.use_embed is not None:
            state = torch.where(feed.use_embed[..., None], feed.embeds, state)
        cache.place(feed.slots, feed.positions)
        states = []
        for layer in range(low, high):
            state = self._layer(layer, cache, feed, soft(state, layer))
            states.append(state)
        return Forwarded(state, tuple(states) if feed.want_hidden else ())

    def forward_stacked(self, caches: Sequence[SlotCache], feeds: Sequence[Feed]) -> list[Forwarded]:
        """A look-up a column has nothing to share."""
        return [self.forward(cache, feed) for cache, feed in zip(caches, feeds, strict=True)]

    def head(self, states: Tensor) -> Tensor:
        return states

    def _layer(self, layer: int, cache: SlotCache, feed: Feed, state: Tensor) -> Tensor:
        cache.write(layer, 0, feed.slots, state[:, None])
        extent = feed.visible.shape[2]
        held = cache.read(layer, 0, extent)[:, 0]
        where = cache.positions[:, None, :extent]

        def at(position: Tensor) -> Tensor:
            seen = feed.visible & (where == position[..., None])
            return or_nothing(torch.einsum("bns,bsw->bnw", seen.to(held), held))

        return self.combine(layer, at(feed.positions), at(feed.positions - 1))

    def combine(self, layer: int, here: Tensor, before: Tensor) -> Tensor:
        """The next state ``[..., w]`` from what a position and the one before it hold, ``[..., w + 1]`` each."""
        return torch.einsum("...i,...j,ijw->...w", here, before, self.tables[layer])

    def from_scratch(self, vectors: Tensor, layers: int | None = None) -> Tensor:
        """Logits ``[...,n,v]`` after every position of ``[...,n,w]`` input vectors, with no cache, mask or slot: the oracle."""
        state = vectors
        for layer in range(layers or self.layers):
            here = or_nothing(soft(state, layer))
            nothing = or_nothing(torch.zeros_like(vectors[..., :1, :]))
            state = self.combine(layer, here, torch.cat([nothing, here[..., :-1, :]], -2))
        return state


def soft(state: Tensor, layer: int) -> Tensor:
    """What a layer reads: input vectors as they are, inner states as distributions."""
    return state.softmax(-1) if layer else state


def or_nothing(held: Tensor) -> Tensor:
    """``[..., w] -> [..., w + 1]``: the last entry is the share of nothing."""
    return torch.cat([held, 1 - held.sum(-1, keepdim=True)], -1)
