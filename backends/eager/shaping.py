"""Shaping logits on the host: the meanings' arithmetic with less around it, and numpy's sort, which is vectorised."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.places import array
from penstock.ir.ops import logits as meaning


@lru_cache(maxsize=256)
def constant(value: float, dtype: torch.dtype) -> Tensor:
    """A number as a tensor: torch wraps a Python number anew at every use, which takes as long as 4,000 divisions."""
    return torch.tensor(value, dtype=dtype)


def scale(logits: Tensor, temperature: float | Tensor) -> Tensor:
    if isinstance(temperature, Tensor) or temperature < meaning.COLDEST:
        return meaning.scale.meaning(logits, temperature)  # type: ignore[no-any-return]
    return logits / constant(temperature, logits.dtype)


def top_k(logits: Tensor, k: int | Tensor) -> Tensor:
    if isinstance(k, Tensor):
        return meaning.top_k.meaning(logits, k)  # type: ignore[no-any-return]
    size = logits.shape[-1]
    if k >= size:
        return logits
    values = array(logits)
    return floored(logits, values, np.partition(values, size - k)[..., size - k], np.full(values.shape[:-1], k))


def top_p(logits: Tensor, p: float | Tensor) -> Tensor:
    values = array(logits)
    ordered = torch.from_numpy(np.sort(values)[..., ::-1].copy())
    count = meaning.within(ordered.softmax(-1), p).sum(-1).clamp_(min=1)
    return floored(logits, values, array(ordered.gather(-1, count[..., None] - 1))[..., 0], count.numpy())


def repetition_penalty(logits: Tensor, seen: Tensor, alpha: float | Tensor) -> Tensor:
    """Few tokens were seen: the others are only copied."""
    if isinstance(alpha, Tensor):
        return meaning.repetition_penalty.meaning(logits, seen, alpha)  # type: ignore[no-any-return]
    values, where = array(logits).copy(), seen.numpy()
    held = values[where]
    values[where] = np.where(held > 0, held / alpha, held * alpha)
    return torch.from_numpy(values).to(logits.dtype)


def floored(logits: Tensor, values: Any, floor: Any, count: Any) -> Tensor:
    """The ``count`` largest of ``values [..., v]``, of which ``floor`` is the least; of those equal to it the lowest ids."""
    kept = ~(values < floor[..., None])  # what is no number stays, to be seen
    for place in np.argwhere(kept.sum(-1) > count):
        row = kept[tuple(place)]
        tied = np.flatnonzero(values[tuple(place)] == floor[tuple(place)])
        row[tied[len(tied) - (row.sum() - count[tuple(place)]) :]] = False
    return logits.masked_fill(torch.from_numpy(~kept), -torch.inf)
