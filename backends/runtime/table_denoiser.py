"""A table model of a canvas: every position's logits are a sum of random tables, one for each other position and what it holds.

Exact and order-free, so a wrong mask, slot or position shows in the logits.
"""

import torch
from torch import Tensor

from penstock.backends.runtime.cache import SlotCache
from penstock.ir.host import Feed, Forwarded


class TableDenoiser:
    """A seeded bidirectional model over ``vocab`` tokens and the mask, on texts of at most ``span`` positions."""

    capabilities = frozenset({"bidirectional", "embeds"})
    layers = 1

    def __init__(self, vocab: int, seed: int, span: int, *, pair: float = 1.0, dtype: torch.dtype = torch.float64) -> None:
        draws = torch.Generator().manual_seed(seed)
        self.name, self.mask, self.span = f"table-denoiser:{vocab}:{seed}", vocab, span
        self.vocab = self.width = vocab + 1
        self.bias = torch.randn(span, self.vocab, generator=draws, dtype=torch.float64).to(dtype)
        self.pair = torch.randn(span, span, self.vocab, self.vocab, generator=draws, dtype=torch.float64).to(dtype) * pair

    def new_cache(self, rows: int, slots: int) -> SlotCache:
        return SlotCache.empty(rows, slots, layers=1, heads=1, width=self.width, kinds=1, dtype=self.bias.dtype)

    def embed(self, ids: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(ids, self.width).to(self.bias)

    def forward(self, cache: SlotCache, feed: Feed) -> Forwarded:
        state = self.embed(feed.ids)
        if feed.embeds is not None and feed.use_embed is not None:
            state = torch.where(feed.use_embed[..., None], feed.embeds, state)
        cache.place(feed.slots, feed.positions)
        cache.write(0, 0, feed.slots, state[:, None])
        extent = feed.visible.shape[2]
        held, where = cache.read(0, 0, extent)[:, 0], cache.positions[:, :extent]
        at = torch.nn.functional.one_hot(where, self.span).to(held)
        seen = torch.einsum("bns,bsp,bsw->bnpw", feed.visible.to(held), at, held)
        return Forwarded(self.bias[feed.positions] + torch.einsum("bnpw,bnpwv->bnv", seen, self.pair[feed.positions]))

    def from_scratch(self, vectors: Tensor) -> Tensor:
        """Logits ``[...,n,v]`` at every position of whole texts ``[...,n,w]``: no cache, mask or slot."""
        n = vectors.shape[-2]
        return self.bias[:n] + torch.einsum("...pw,npwv->...nv", vectors, self.pair[:n, :n])
