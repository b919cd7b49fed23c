"""What every language model of transformers has that we drive: an input, a call that says what to attend to, logits."""

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from penstock.backends.runtime.configuration import context
from penstock.backends.runtime.hf.attention import CURRENT, Call
from penstock.backends.runtime.hf.survey import survey
from penstock.backends.runtime.hf.takeover import take_over
from penstock.backends.runtime.hf.undecorated import undecorate
from penstock.ir.host import Feed


class CausalModel:
    """A decoder-only model, unmodified but for how it attends; once wrapped, its own ``generate`` attends by our function too."""

    @torch.no_grad()
    def __init__(self, model: PreTrainedModel, name: str, vocab: int | None = None, mask: int | None = None) -> None:
        """``vocab``: how many logits stand for a token; columns beyond are padding and cut off. ``mask``: a canvas's own id.

        Raises PenstockError for a model that cannot be driven, with the reason.
        """
        self.name, self.mask = name, mask
        self.model = model.eval()
        self.slopes = take_over(model, name)
        undecorate(model)
        asked = inspect.signature(model.forward).parameters
        # transformers renamed the argument in 5.24 and warns about the old name.
        self._cache_argument = "cache" if "cache" in asked else "past_key_values"
        self._positioned, self._trims = "position_ids" in asked, "logits_to_keep" in asked
        self.kept = survey(model, name, self._run)
        self.layers = self.kept.layers
        self.width: int = model.get_input_embeddings().weight.shape[-1]
        self.vocab = min(vocab or self.kept.logits, self.kept.logits)
        self.context = context(model.config.get_text_config().to_dict())

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """``[...] -> [...,w]``: the output of the embedding module, which in some models scales."""
        return self.model.get_input_embeddings()(ids)

    def _call(self, feed: Feed, positions: Tensor, states: list[Tensor] | None = None) -> Call:
        """What a feed says of attention; ``positions [b,e]``: those of the slots."""
        query = feed.positions
        if self.context is not None and positions.shape[1] > self.context:
            # Drafts may reach beyond the context, where nothing is accepted: learnt positions have no entry there.
            query = query.clamp(max=self.context - 1)
        return Call(query, positions[:, : feed.visible.shape[2]], feed.visible, feed.hidden, states, self.slopes)

    def _run(self, call: Call, cache: Any, inputs: dict[str, Tensor], model: PreTrainedModel | None = None) -> Tensor:
        """Logits ``[b,n,v]``, padding included, in float32 at least, as generate has them; ``model``: a part, by default all."""
        if self._positioned:
            inputs = {**inputs, "position_ids": call.query}
        token = CURRENT.set(call)
        try:
            out = (model or self.model)(**inputs, use_cache=True, **{self._cache_argument: cache})
        finally:
            CURRENT.reset(token)
        logits: Tensor = out.logits
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _inputs(self, feed: Feed) -> dict[str, Tensor]:
        if feed.hidden is not None:  # the first layer run takes them from the call
            return {"inputs_embeds": feed.hidden.new_zeros(*feed.hidden.shape[:2], self.width)}
        if feed.embeds is None:
            return {"input_ids": feed.ids}
        if feed.use_embed is None:
            return {"inputs_embeds": feed.embeds}
        known = self.embed(feed.ids.masked_fill(feed.use_embed, 0))
        return {"inputs_embeds": torch.where(feed.use_embed[..., None], feed.embeds.to(known.dtype), known)}
