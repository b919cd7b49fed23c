"""What a model keeps of a text, learnt from one call of two tokens, so that nothing is believed of its configuration alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import (
    CacheLayerMixin,
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    LinearAttentionCacheLayerMixin,
    LinearAttentionLayer,
)
from transformers.masking_utils import causal_mask_function

from penstock.backends.runtime.configuration import is_entangled
from penstock.backends.runtime.hf.attention import Call
from penstock.backends.runtime.hf.slots import ShapeProbe
from penstock.backends.runtime.hf.takeover import own_attention
from penstock.backends.runtime.mixed_cache import Plane, Shape
from penstock.ir.errors import PenstockError

KNOWN = {
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
}
"""Layers of transformers' caches that we can stand in for: keys and values, a state, both, or nothing."""

Run = Callable[[Call, Cache, dict[str, Tensor]], Tensor]
"""A forward of the model: what it attends to, where it keeps what, its inputs; logits ``[b,n,v]``."""


@dataclass(frozen=True)
class Survey:
    """Facts of a model."""

    shapes: dict[Plane, Shape]
    """Heads and width of the keys and of the values of every layer that keeps its own."""
    layers: int
    logits: int
    windowed: bool
    """Whether some layer has a window."""
    entangled: bool
    """Whether layers read more than the layer before left: another's keys, or an embedding of their own."""


def survey(model: PreTrainedModel, name: str, run: Run) -> Survey:
    """Raises PenstockError for a model that keeps what we cannot, or keeps it where we do not see it."""
    layers = kept_by(model)
    if odd := sorted({type(layer).__name__ for layer in layers if type(layer) not in KNOWN}):
        raise unfit(model, name, f"keeps more of a text than keys, values and states ({', '.join(odd)})")
    seen, ids = ShapeProbe(layers), torch.zeros(1, 2, dtype=torch.int64, device=model.device)
    positions = torch.arange(2, device=ids.device)[None]
    call = Call(positions, positions, torch.ones(1, 2, 2, dtype=torch.bool, device=ids.device).tril(), attending=[])
    try:
        logits = run(call, seen, {"input_ids": ids})
    except PenstockError as error:
        raise unfit(model, name, f"cannot be driven: {error.what}") from error
    except Exception as error:  # whatever a model trips over that wants a cache of its own
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise unfit(model, name, f"cannot be driven: {reason}") from error
    states = [layer for layer in layers if isinstance(layer, LinearAttentionCacheLayerMixin)]
    attending = [i for i, layer in enumerate(layers) if isinstance(layer, CacheLayerMixin)]
    if sorted(seen.shapes) != attending or not all(any(layer.has_previous_state.values()) for layer in states):
        raise unfit(model, name, "keeps of a text what it does not put into the cache that it is given")
    if attending and not call.rules:
        raise unfit(model, name, "does not ask for a mask by name")
    if len(call.attending or ()) < len(attending) and not own_attention(model.config):
        raise unfit(model, name, "attends by another function than the one that it was given")
    return Survey(
        {(layer, kind): (shape[1], shape[3]) for layer, pair in seen.shapes.items() for kind, shape in enumerate(pair)},
        len(layers),
        logits.shape[-1],
        windowed=any(rule is not causal_mask_function for rule in call.rules),
        entangled=is_entangled(model.config.get_text_config().to_dict()),
    )


def kept_by(model: PreTrainedModel) -> list[Any]:
    """A fresh layer of transformers' own cache for each layer of the model."""
    return list(DynamicCache(config=model.config.get_text_config()).layers)


def is_recurrent(model: PreTrainedModel) -> bool:
    """Whether some layer keeps a state, which only goes forward."""
    return any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in kept_by(model))


def unfit(model: PreTrainedModel, name: str, reason: str) -> PenstockError:
    return PenstockError(
        f"{type(model).__name__} {reason}", where=name, fix="use a decoder-only transformer with attention in every layer"
    )
