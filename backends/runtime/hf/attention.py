"""The attention and mask functions that Hugging Face models call when driven by slots.

A model asks for one mask a layer kind, by its own rule (causal, sliding, chunked). The rule is judged on logical
positions and intersected with what the caller made visible: no code here knows an architecture.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import causal_mask_function, eager_mask

from penstock.ir.errors import PenstockError

NAME = "penstock"
"""Must hold none of sdpa, flash, flex: transformers applies their refusals to any name that does."""

Rule = Callable[..., Any]
"""``(batch, head, query position, key position) -> may attend``, over tensors that broadcast."""


class KeysAltered(Exception):
    """A model attends to other keys or values than its cache gave it, so parts of a call cannot be told apart."""


@dataclass(slots=True)
class Part:
    """Some rows of a call, and what they attend to in one layer."""

    rows: slice
    keys: Tensor
    """``[rows, heads, extent, d]``: of as many slots as the part has."""
    values: Tensor


@dataclass(slots=True)
class Call:
    """What the functions below need of the forward call in progress."""

    query: Tensor
    """``[b,n]``: logical positions of the columns."""
    key: Tensor
    """``[b,e]``: logical positions of the slots."""
    visible: Tensor
    """bool ``[b,n,e]``."""
    start: Tensor | None = None
    """``[b,n,w]``: what the first layer run gets instead of the embeddings."""
    states: list[Tensor] | None = None
    """Where layers leave their outputs, if anybody wants them."""
    slopes: Tensor | None = None
    """``[h]``: what the model adds to a score a slot, where it means a position (ALiBi)."""
    rules: list[Rule] = field(default_factory=list)
    """The rules that masks were built for, one a layer kind."""
    masks: list[Tensor] = field(default_factory=list)
    """These masks."""
    attending: list[nn.Module] | None = None
    """Where modules that attend by our function are noted, if anybody wants to know."""
    stacked: dict[int, tuple[Tensor, Tensor, list[Part]]] | None = None
    """Of a call of several parts: what they attend to, by the identity of the keys that stand for it, which come first."""
    instead: Callable[..., Tensor] | None = None
    """What attends instead, with the arguments of `attended`: of a call that is being traced."""
    cache: Any = None
    """Of a call that runs as it was traced, where its layers store and read."""


CURRENT: ContextVar[Call | None] = ContextVar("penstock_call", default=None)


def slot_mask(batch_size: int, q_length: int, kv_length: int, mask_function: Rule, **kwargs: Any) -> Tensor:
    """The additive mask ``[b,1,n,e]`` of one layer kind; outside a call of ours, what transformers would build.

    With slopes it is ``[b,h,n,e]`` and makes of every slot's bias its position's.
    """
    call = CURRENT.get()
    if call is None:
        return eager_mask(batch_size, q_length, kv_length, mask_function=mask_function, **kwargs)
    call.rules.append(mask_function)
    call.masks.append(mask_of(call, mask_function, kwargs["dtype"]))
    return call.masks[-1]


def mask_of(call: Call, rule: Rule, dtype: torch.dtype) -> Tensor:
    """What a rule makes of a call: ``[b,1,n,e]``, or ``[b,h,n,e]`` with slopes."""
    allowed = call.visible[:, None]
    # Plain causality is what `visible` already says, and obeying it alone lets a block look both ways.
    if rule is not causal_mask_function:
        b = torch.arange(len(allowed), device=allowed.device)[:, None, None, None]
        within = rule(b, torch.zeros_like(b), call.query[:, None, :, None], call.key[:, None, None, :])
        allowed = allowed & within
    # The least finite number, not -inf: a void column that sees no slot at all must not become NaN.
    return torch.where(allowed, corrections(call, dtype), number(torch.finfo(dtype).min, dtype, allowed.device))


def corrections(call: Call, dtype: torch.dtype) -> Tensor:
    """What turns a bias by slot into one by position, ``[b,h,1,e]``; of models without such biases, one zero."""
    if call.slopes is None:
        return number(0.0, dtype, call.key.device)
    slot = torch.arange(call.key.shape[1], device=call.key.device)
    return (call.slopes[:, None, None] * (call.key - slot)[:, None, None]).to(dtype)


@lru_cache
def number(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A scalar, made once."""
    return torch.full((), value, dtype=dtype, device=device)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """``query [b,h,n,d]`` over ``key, value [b,g,e,d]`` (g divides h) under an additive mask: ``[b,n,h,d]``."""
    call = CURRENT.get()
    if call is not None and call.attending is not None:
        call.attending.append(module)
    for unknown in ("indices", "position_bias"):
        if kwargs.get(unknown) is not None:
            raise PenstockError(f"attention with `{unknown}` is not supported", where=type(module).__name__)
    options = scaling, kwargs.get("softcap"), kwargs.get("s_aux")
    if call is not None and call.instead is not None:
        return call.instead(query, key, value, attention_mask, *options), None
    if call is None or call.stacked is None:
        return attended(query, key, value, attention_mask, *options).transpose(1, 2), None
    out = [
        attended(query[part.rows], part.keys, part.values, _of_part(attention_mask, part), *options).transpose(1, 2)
        for part in _parts(call.stacked, key, value)
    ]
    return torch.cat(out), None


def _parts(stacked: dict[int, tuple[Tensor, Tensor, list[Part]]], key: Tensor, value: Tensor) -> list[Part]:
    """What the keys and values stand for. Raises KeysAltered where they are not those that the cache gave."""
    _, given, parts = stacked.get(id(key), (None, None, []))
    if given is not value:
        raise KeysAltered
    return parts


def _of_part(mask: Tensor | None, part: Part) -> Tensor | None:
    """A part's own rows and slots of a mask ``[rows,1,n,e]``."""
    return None if mask is None else mask[part.rows, ..., : part.keys.shape[2]]


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """``[b,h,n,d]``."""
    if softcap is None and sinks is None:
        grouped = query.shape[1] != key.shape[1]
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling, enable_gqa=grouped)
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    return _attend_in_the_open(query, key, value, mask, softcap, sinks)


def _attend_in_the_open(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, softcap: float | None, sinks: Tensor | None
) -> Tensor:
    """What sdpa cannot do: scores squeezed into ``(-softcap, softcap)``; a sink a head that takes weight from slots."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(2, 3)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask is not None:
        scores = scores + mask
    if sinks is not None:
        scores = torch.cat([scores, sinks.view(1, -1, 1, 1).expand(*scores.shape[:3], 1)], -1)
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    return weights[..., : key.shape[2]] @ value


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, slot_mask)
