"""A model that attends in every layer, driven by slots, positions and a visibility mask."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from penstock.backends.runtime.cache import SlotCache
from penstock.backends.runtime.configuration import abilities
from penstock.backends.runtime.hf.attention import CURRENT, Call, Rule, mask_of
from penstock.backends.runtime.hf.causal import CausalModel
from penstock.backends.runtime.hf.columns import Columns, Untraceable, columns_of
from penstock.backends.runtime.hf.exam import TREE, examine, stacks
from penstock.backends.runtime.hf.layers import head_alone, layers_path, slice_layers
from penstock.backends.runtime.hf.slots import ShapeProbe, SlotWriter
from penstock.backends.runtime.hf.stacked import Caches, StackedWriter, columns_read, joined, positions_of, widened
from penstock.backends.runtime.hf.survey import is_recurrent, unfit
from penstock.backends.runtime.hf.takeover import own_attention
from penstock.backends.runtime.mixed_cache import MixedCache
from penstock.ir.host import Feed, Forwarded


class HuggingFaceModel(CausalModel):
    """A decoder-only transformer as a `Model`, which raises PenstockError for one with recurrent layers."""

    def __init__(self, model: PreTrainedModel, name: str, vocab: int | None = None, mask: int | None = None) -> None:
        super().__init__(model, name, vocab, mask)
        if is_recurrent(model):
            raise unfit(model, name, "has recurrent layers, whose state cannot be addressed by slot")
        self._path = layers_path(model)
        self._parts: dict[tuple[int, int], PreTrainedModel] = {}
        self._head: PreTrainedModel | None = None
        self.capabilities = abilities(
            recurrent=False, windowed=self.kept.windowed, entangled=self.kept.entangled, attends_alone=own_attention(model.config)
        )
        examine(self, TREE)
        if "stack" in self.capabilities and not stacks(self):
            self.capabilities -= {"stack"}

    def new_cache(self, rows: int, slots: int) -> SlotCache | MixedCache:
        """An empty cache of ``slots`` slots and one trash slot, of the model's dtype, on its device."""
        shapes = self.kept.shapes
        options: dict[str, Any] = dict(dtype=self.model.dtype, device=self.model.device)
        if len(set(shapes.values())) > 1 or len(shapes) < 2 * self.layers:
            return MixedCache.empty(rows, slots, shapes, **options)
        heads, width = shapes[0, 0]
        return SlotCache.empty(rows, slots, layers=self.layers, heads=heads, width=width, **options)

    @torch.no_grad()
    def forward(self, cache: SlotCache | MixedCache, feed: Feed) -> Forwarded:
        """Write each column to its slot, then attend as ``visible`` says, within the model's own windows."""
        cache.place(feed.slots, feed.positions)
        states: list[Tensor] | None = [] if feed.want_hidden else None
        writer = SlotWriter(cache, feed.slots, feed.visible.shape[2])
        logits = self._run(self._call(feed, cache.positions, states), writer, self._inputs(feed), self._part(feed))
        return Forwarded(logits[..., : self.vocab], tuple(states or ()))

    @torch.no_grad()
    def columns(self, rows: int, columns: int) -> Columns:
        """The forward of a plain feed of so many rows and columns, less its attention. Raises Untraceable."""
        if "stack" not in self.capabilities:
            raise Untraceable("it does not attend to the very keys and values that its cache gives it")
        return columns_of(self._run, rows, columns, self.model.device)

    @torch.no_grad()
    def forward_by(self, answer: Callable[[Tensor, Tensor], Tensor], rules: Sequence[Rule], cache: Any, feed: Feed) -> Forwarded:
        """`forward` of a plain feed, where ``answer(ids, positions)`` runs a graph of `columns`, of these rules."""
        cache.place(feed.slots, feed.positions)
        call = self._call(feed, cache.positions)
        call.cache = SlotWriter(cache, feed.slots, feed.visible.shape[2])
        call.masks = [mask_of(call, rule, self.model.dtype) for rule in rules]
        token = CURRENT.set(call)
        try:
            logits = answer(feed.ids, call.query)
        finally:
            CURRENT.reset(token)
        return Forwarded(logits[..., : self.vocab])

    @torch.no_grad()
    def forward_stacked(self, caches: Caches, feeds: Sequence[Feed]) -> list[Forwarded]:
        """One call for all; each part attends to its own cache."""
        columns = max(feed.ids.shape[1] for feed in feeds)
        wide = [widened(feed, columns, cache.slots) for feed, cache in zip(feeds, caches, strict=True)]
        for cache, feed in zip(caches, wide, strict=True):
            cache.place(feed.slots, feed.positions)
        whole = joined(wide)
        whole.want_hidden, whole.read = any(feed.want_hidden for feed in feeds), max(map(columns_read, feeds))
        call = self._call(whole, positions_of(caches, whole.visible.shape[2]), [] if whole.want_hidden else None)
        call.stacked = {}
        logits = self._run(call, writer := StackedWriter(call, caches, wide), self._inputs(whole), self._part(whole))
        answers = zip(feeds, writer.rows, strict=True)
        return [self._answer(feed, logits[rows], [states[rows] for states in call.states or ()]) for feed, rows in answers]

    def _answer(self, feed: Feed, logits: Tensor, states: Sequence[Tensor]) -> Forwarded:
        """Of a call that may be wider than the feed, what the feed asked for."""
        hidden = tuple([state[:, -feed.ids.shape[1] :] for state in states]) if feed.want_hidden else ()
        return Forwarded(logits[:, -columns_read(feed) :, : self.vocab], hidden)

    def _inputs(self, feed: Feed) -> dict[str, Any]:
        """Without logits that nobody reads, where the model can leave them out."""
        unread = self._trims and feed.read is not None
        return super()._inputs(feed) | ({"logits_to_keep": feed.read} if unread else {})

    @torch.no_grad()
    def head(self, states: Tensor) -> Tensor:
        """``[..., w] -> [..., v]``: final norm and logits; each state is a row of its own, which nothing attends."""
        if self._head is None:
            self._head = head_alone(self.model, self._path)
        rows = states.reshape(-1, 1, states.shape[-1])
        position = torch.zeros(len(rows), 1, dtype=torch.int64, device=rows.device)
        call = Call(position, position, torch.ones_like(position, dtype=torch.bool)[:, None], start=rows)
        embeds = rows.new_zeros(len(rows), 1, self.width)
        logits = self._run(call, ShapeProbe(), {"inputs_embeds": embeds}, self._head)
        return logits[..., : self.vocab].reshape(*states.shape[:-1], self.vocab)

    def _part(self, feed: Feed) -> PreTrainedModel:
        """The layers that the feed asks for: the model itself where that is all of it and nobody listens."""
        low, high = feed.layers or (0, self.layers)
        if not 0 <= low < high <= self.layers or (low > 0) != (feed.hidden is not None):
            given = "with" if feed.hidden is not None else "without"
            raise ValueError(f"{self.name}: cannot run layers {low}:{high} of {self.layers} {given} hidden states")
        if (low, high) == (0, self.layers) and not feed.want_hidden:
            return self.model
        if (low, high) not in self._parts:
            self._parts[low, high] = slice_layers(self.model, self._path, low, high)
        return self._parts[low, high]
