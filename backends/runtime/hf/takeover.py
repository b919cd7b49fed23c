"""How a model of transformers is made to attend as a call says: three ways, and a reason for those that take none.

Most models look their attention up by name; they get ours. Some compute it themselves and only ask for a mask by that name; the
list of these is closed, because one that bends its attention elsewhere would be wrong without a word. What ALiBi (Press et al.,
arXiv 2108.12409) counts in slots there is put right in the mask, see `attention.slot_mask`.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import Cache, PreTrainedConfig, PreTrainedModel

from penstock.backends.runtime.configuration import attends_alone
from penstock.backends.runtime.hf.attention import CURRENT, NAME, attend
from penstock.ir.errors import PenstockError

REASONS = {
    "gpt_neo": "cuts its local layers' masks from a buffer indexed by slot, which a draft or a batch of unequal texts is not",
    "falcon": "builds its ALiBi biases for as many slots as the call has columns",
    "rwkv": "hands its state around outside of a cache",
}
"""Why a model type cannot be driven."""


def take_over(model: PreTrainedModel, name: str) -> Tensor | None:
    """Have the model attend by our functions; its ALiBi slopes ``[heads]`` if it counts distances in slots.

    Raises PenstockError, with the reason, for models that can be driven in no way.
    """
    kind = model.config.model_type
    if own_attention(model.config):
        model.config._attn_implementation = NAME
        return SLOPES[kind](model) if kind in SLOPES else None
    for module in model.modules():
        if getattr(module, "attn_temperature_tuning", False) and not getattr(module, "use_rope", True):
            tune_by_position(module)
    model.set_attn_implementation(NAME)
    if model.config._attn_implementation != NAME:  # models off the interface only log a warning
        raise PenstockError(
            f"{type(model).__name__} {REASONS.get(kind, 'does not let its attention be replaced')}",
            where=name,
            fix="use one that goes through transformers' AttentionInterface, such as Llama, Qwen, Mistral, Gemma",
        )
    return None


def own_attention(config: PreTrainedConfig) -> bool:
    """Whether a model computes attention itself, under the mask that it asks for by name."""
    return attends_alone(config.to_dict())


def slopes_of_bloom(model: PreTrainedModel) -> Tensor:
    """``[heads]``: what its biases grow by, a slot."""
    built = model.transformer.build_alibi_tensor(torch.ones(1, 2), model.config.n_head, torch.float32)
    return (built[:, 0, 1] - built[:, 0, 0]).to(model.device)


def slopes_of_mpt(model: PreTrainedModel) -> Tensor:
    """The same. Its attention modules take masks of booleans, which can put nothing right, so they are given another forward."""
    built = model.transformer.build_mpt_alibi_tensor(model.config.n_heads, 2, device=model.device)
    slopes = built[:, 0, 1] - built[:, 0, 0]
    for module in model.modules():
        if type(module).__name__ == "MptAttention":
            attend_by_position(module, slopes)
    return slopes


SLOPES = {"bloom": slopes_of_bloom, "mpt": slopes_of_mpt}


def attend_by_position(module: Any, slopes: Tensor) -> None:
    """Have an attention module of MPT attend by our function under a call's mask; outside of a call it is as it was."""
    own = module.forward

    def forward(states: Tensor, position_bias: Tensor, cache: Cache | None = None, **kwargs: Any) -> tuple[Tensor, Any]:
        call = CURRENT.get()
        if call is None or cache is None:
            return own(states, position_bias, cache=cache, **kwargs)
        fused = module.Wqkv(states)
        if module.clip_qkv:
            fused = fused.clamp(-module.clip_qkv, module.clip_qkv)
        query, key, value = (part.unflatten(-1, (module.n_heads, -1)).transpose(1, 2) for part in fused.chunk(3, -1))
        key, value = cache.update(key, value, module.layer_idx)
        by_slot = slopes[:, None, None] * torch.arange(1 - key.shape[2], 1, device=key.device)
        mask = (call.masks[-1] + by_slot).clamp(min=torch.finfo(query.dtype).min).to(query.dtype)
        out, weights = attend(module, query, key, value, mask, module.softmax_scale)
        return module.out_proj(out.flatten(2)), weights

    module.forward = forward


def tune_by_position(module: Any) -> None:
    """Have an attention module of Llama 4 scale queries by position: it counts columns from what the cache says is its length.

    Its layers without positions sharpen with the text (Nakanishi, arXiv 2501.19399). What puts the scale right is put into the
    projection, since nothing else stands between it and the scores.
    """

    def scale(position: Tensor) -> Tensor:
        return torch.log1p(torch.floor((position + 1.0) / module.floor_scale)) * module.attn_scale + 1.0

    def put_right(projection: Any, inputs: Any, queries: Tensor) -> Tensor:
        call = CURRENT.get()
        if call is None:
            return queries
        column = torch.arange(queries.shape[1], device=queries.device)
        return (queries * (scale(call.query) / scale(column))[..., None]).to(queries.dtype)

    module.q_proj.register_forward_hook(put_right)
