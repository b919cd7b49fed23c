"""A model with recurrent layers: it reads texts from left to right and takes nothing back, so it runs undrafted.

A padded column would be read too, so rows are run together that are fed the same number of columns.
"""

from dataclasses import replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from penstock.backends.runtime.cache import SlotCache
from penstock.backends.runtime.configuration import abilities
from penstock.backends.runtime.hf.causal import CausalModel
from penstock.backends.runtime.hf.exam import NEXT, examine
from penstock.backends.runtime.hf.slots import SlotWriter
from penstock.backends.runtime.hf.state_cache import StateCache
from penstock.backends.runtime.hf.survey import kept_by
from penstock.backends.runtime.mixed_cache import MixedCache
from penstock.ir.host import Feed, Forwarded

SAME = 1e-3
"""How far, in parts of the largest logit, two ways of reading a text may differ that should not."""


class RecurrentModel(CausalModel):
    """A model whose layers keep states, some of them keys and values too, as a `Model`."""

    def __init__(self, model: PreTrainedModel, name: str, vocab: int | None = None, mask: int | None = None) -> None:
        super().__init__(model, name, vocab, mask)
        self.capabilities = abilities(recurrent=True, windowed=self.kept.windowed, entangled=self.kept.entangled)
        if not self._goes_on_in_chunks():
            self.capabilities -= {"chunk"}
        examine(self, NEXT)

    def new_cache(self, rows: int, slots: int) -> StateCache:
        """An empty cache of ``slots`` slots and one trash slot, of the model's dtype, on its device."""
        dtype, device = self.model.dtype, self.model.device
        if self.kept.shapes:
            attended: SlotCache | MixedCache = MixedCache.empty(rows, slots, self.kept.shapes, dtype, device)
        else:
            attended = SlotCache.empty(rows, slots, layers=0, heads=1, width=1, dtype=dtype, device=device)
        return StateCache(attended, {}, torch.zeros(rows, dtype=torch.bool, device=device))

    @torch.no_grad()
    def forward(self, cache: StateCache, feed: Feed) -> Forwarded:
        """Read each row's columns, which are the last ones and go on where its text ended; void columns are not read."""
        counts = torch.where(cache.begun, 1, -1) * (feed.slots != cache.slots).sum(1)
        logits = torch.zeros(*feed.ids.shape, self.vocab, device=self.model.device)
        for count in counts[counts != 0].unique().tolist():
            rows = (counts == count).nonzero()[:, 0]
            read = self._group(cache, feed, rows, abs(count))
            logits = logits.to(read.dtype)  # not always that of the weights
            logits[rows, -abs(count) :] = read
        return Forwarded(logits)

    def _group(self, cache: StateCache, feed: Feed, rows: Tensor, count: int) -> Tensor:
        """Logits ``[rows,count,v]`` of rows that have all begun or all not."""
        whole = len(rows) == len(cache.begun)
        part, some = (cache if whole else cache.take(rows)), columns_of(feed, rows, slice(-count, None))
        if "chunk" in self.capabilities or not bool(part.begun.any()):
            logits = self._read(part, some)
        else:
            steps = [columns_of(some, slice(None), slice(i, i + 1)) for i in range(count)]
            logits = torch.cat([self._read(part, step) for step in steps], 1)
        if not whole:
            cache.put(rows, part)
        return logits

    def _read(self, cache: StateCache, feed: Feed) -> Tensor:
        """Logits of columns that are all real."""
        layers, attended = kept_by(self.model), cache.attended
        if bool(cache.begun.any()):
            cache.load(layers)
        attended.place(feed.slots, feed.positions)
        writer = SlotWriter(attended, feed.slots, feed.visible.shape[2], layers)
        logits = self._run(self._call(feed, attended.positions), writer, self._inputs(feed))
        cache.save(layers)
        return logits[..., : self.vocab]

    def _goes_on_in_chunks(self) -> bool:
        """Whether several tokens after a text read as one by one; some implementations start them afresh."""
        cache, n = self.new_cache(1, 6), 6
        place = torch.arange(n, device=self.model.device)[None]
        feed = Feed(place % self.vocab, place, place, torch.ones(1, n, n + 1, dtype=torch.bool, device=place.device).tril())
        whole = self.forward(cache, feed).logits[:, 3:]
        cache = self.new_cache(1, n)
        for part in (slice(0, 3), slice(3, n)):
            parts = self.forward(cache, columns_of(feed, slice(None), part)).logits
        return bool((parts - whole).abs().max() <= SAME * whole.abs().max())


def columns_of(feed: Feed, rows: Tensor | slice, columns: slice) -> Feed:
    """Some rows and columns of a feed."""
    named = ("ids", "slots", "positions", "visible", "embeds", "use_embed")
    parts = {name: value[rows][:, columns] for name in named if (value := getattr(feed, name)) is not None}
    return replace(feed, **parts)
