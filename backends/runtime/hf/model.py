"""A causal language model of transformers, unmodified, driven by slots, positions and a visibility mask."""

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.masking_utils import causal_mask_function

from penstock.backends.runtime.cache import SlotCache
from penstock.backends.runtime.hf.attention import CURRENT, NAME, Call
from penstock.backends.runtime.hf.layers import head_alone, layers_path, slice_layers
from penstock.backends.runtime.hf.slots import ShapeProbe, SlotWriter
from penstock.ir.errors import PenstockError
from penstock.ir.host import Feed, Forwarded

CAPABILITIES = frozenset({"tree", "chunk", "embeds", "layers", "hidden", "kv_read", "window"})

ATTENTION_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}


class HuggingFaceModel:
    """A decoder-only model as a `Model`; once wrapped, its own ``generate`` runs on our attention function too."""

    def __init__(self, model: PreTrainedModel, name: str, vocab: int | None = None, mask: int | None = None) -> None:
        """``vocab``: how many logits stand for a token; columns beyond are padding and cut off. ``mask``: a canvas's own id."""
        self.name, self.mask = name, mask
        self.model = model.eval()
        self._refuse_recurrence()
        self._take_over_attention()
        # transformers renamed the argument in 5.24 and warns about the old name.
        self._cache_argument = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
        self._path = layers_path(model)
        self._parts: dict[tuple[int, int], PreTrainedModel] = {}
        self._head: PreTrainedModel | None = None
        self.layers = len(model.get_submodule(self._path))
        self.width: int = model.get_input_embeddings().weight.shape[-1]
        self._heads, self._head_width, logits, windowed = self._probe()
        self.vocab = min(vocab or logits, logits)
        self.context: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self.capabilities = CAPABILITIES if windowed else CAPABILITIES | {"bidirectional"}

    def new_cache(self, rows: int, slots: int) -> SlotCache:
        """An empty cache of ``slots`` slots and one trash slot, of the model's dtype, on its device."""
        return SlotCache.empty(
            rows,
            slots,
            layers=self.layers,
            heads=self._heads,
            width=self._head_width,
            dtype=self.model.dtype,
            device=self.model.device,
        )

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """``[...] -> [...,w]``: the output of the embedding module, which in some models scales."""
        return self.model.get_input_embeddings()(ids)

    @torch.no_grad()
    def forward(self, cache: SlotCache, feed: Feed) -> Forwarded:
        """Write each column to its slot, then attend as ``visible`` says, within the model's own windows."""
        extent = feed.visible.shape[2]
        cache.place(feed.slots, feed.positions)
        states: list[Tensor] | None = [] if feed.want_hidden else None
        # Drafts may reach beyond the context, where nothing is accepted: learnt positions have no entry there.
        positions = feed.positions if self.context is None else feed.positions.clamp(max=self.context - 1)
        call = Call(positions, cache.positions[:, :extent], feed.visible, feed.hidden, states)
        logits = self._run(self._part(feed), call, SlotWriter(cache, feed.slots, extent), self._inputs(feed))
        return Forwarded(logits[..., : self.vocab], tuple(states or ()))

    @torch.no_grad()
    def head(self, states: Tensor) -> Tensor:
        """``[..., w] -> [..., v]``: final norm and logits; each state is a row of its own, which nothing attends."""
        if self._head is None:
            self._head = head_alone(self.model, self._path)
        rows = states.reshape(-1, 1, self.width)
        position = torch.zeros(len(rows), 1, dtype=torch.int64, device=rows.device)
        call = Call(position, position, torch.ones_like(position, dtype=torch.bool)[:, None], start=rows)
        logits = self._run(self._head, call, ShapeProbe(), {"inputs_embeds": rows})
        return logits[..., : self.vocab].reshape(*states.shape[:-1], self.vocab)

    def _run(self, model: PreTrainedModel, call: Call, cache: Any, inputs: dict[str, Tensor]) -> Tensor:
        token = CURRENT.set(call)
        try:
            out = model(**inputs, position_ids=call.query, use_cache=True, **{self._cache_argument: cache})
        finally:
            CURRENT.reset(token)
        return out.logits

    def _inputs(self, feed: Feed) -> dict[str, Tensor]:
        if feed.hidden is not None:
            return {"inputs_embeds": feed.hidden}
        if feed.embeds is None:
            return {"input_ids": feed.ids}
        if feed.use_embed is None:
            return {"inputs_embeds": feed.embeds}
        known = self.embed(feed.ids.masked_fill(feed.use_embed, 0))
        return {"inputs_embeds": torch.where(feed.use_embed[..., None], feed.embeds.to(known.dtype), known)}

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

    def _refuse_recurrence(self) -> None:
        odd = set(getattr(self.model.config.get_text_config(), "layer_types", None) or ()) - ATTENTION_LAYERS
        if odd or getattr(self.model, "_is_stateful", False):
            layers = " and ".join(sorted(odd)) or "recurrent"
            raise PenstockError(
                f"{type(self.model).__name__} has {layers} layers, whose state cannot be addressed by slot",
                where=self.name,
                fix="use a decoder-only transformer with attention in every layer",
            )

    def _take_over_attention(self) -> None:
        self.model.set_attn_implementation(NAME)
        if self.model.config._attn_implementation != NAME:  # models off the interface only log a warning
            raise PenstockError(
                f"{type(self.model).__name__} does not let its attention be replaced",
                where=self.name,
                fix="use one that goes through transformers' AttentionInterface, such as Llama, Qwen, Mistral, Gemma",
            )

    @torch.no_grad()
    def _probe(self) -> tuple[int, int, int, bool]:
        """Heads, their width, number of logits, whether some layer has a window: learnt from a call of two tokens."""
        seen, ids = ShapeProbe(), torch.zeros(1, 2, dtype=torch.int64, device=self.model.device)
        positions = torch.arange(2, device=ids.device)[None]
        call = Call(positions, positions, torch.ones(1, 2, 2, dtype=torch.bool, device=ids.device).tril())
        logits = self._run(self.model, call, seen, {"input_ids": ids})
        shapes = {shape for pair in seen.shapes.values() for shape in pair}
        if sorted(seen.shapes) != list(range(self.layers)) or len(shapes) != 1 or not call.rules:
            raise PenstockError(
                f"{type(self.model).__name__} does not keep keys and values of one shape in every layer",
                where=self.name,
                fix="use a decoder-only transformer without latent attention or layers that share a cache",
            )
        _, heads, _, width = shapes.pop()
        return heads, width, logits.shape[-1], any(rule is not causal_mask_function for rule in call.rules)
