"""Shaping logits on the host: the meanings' arithmetic with less around it, and truncations without a sort."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.candidates import candidates, nucleus
from penstock.ir.ops import logits as meaning
from penstock.ir.ops.candidates import spread_logits


@lru_cache(maxsize=256)
def constant(value: float, dtype: torch.dtype) -> Tensor:
    """A number as a tensor: torch wraps a Python number anew at every use, which takes as long as 4,000 divisions."""
    return torch.tensor(value, dtype=dtype)


def scale(logits: Tensor, temperature: float | Tensor) -> Tensor:
    if isinstance(temperature, Tensor) or temperature < meaning.COLDEST:
        return meaning.scale.meaning(logits, temperature)  # type: ignore[no-any-return]
    return logits / constant(temperature, logits.dtype)


def top_k(logits: Tensor, k: int | Tensor) -> Tensor:
    if isinstance(k, Tensor) and k.dim():
        return meaning.top_k.meaning(logits, k)  # type: ignore[no-any-return]
    ids = candidates(logits, int(k))
    return spread_logits.meaning(logits.gather(-1, ids), ids, logits.shape[-1])  # type: ignore[no-any-return]


def top_p(logits: Tensor, p: float | Tensor) -> Tensor:
    rows = logits.reshape(-1, logits.shape[-1])
    shares = meaning.over(p, meaning.precise(logits[..., :1])).expand(*logits.shape[:-1], 1).flatten().tolist()
    kept = torch.full_like(rows, -torch.inf)
    for row, left, share in zip(rows, kept, shares, strict=True):
        ids = nucleus(row, share)
        left[ids] = row[ids]
    return kept.view(logits.shape)


def repetition_penalty(logits: Tensor, seen: Tensor, alpha: float | Tensor) -> Tensor:
    """Few tokens were seen: the others are only copied."""
    if isinstance(alpha, Tensor) and alpha.dim():
        return meaning.repetition_penalty.meaning(logits, seen, alpha)  # type: ignore[no-any-return]
    penalised, places = logits.clone(memory_format=torch.contiguous_format), torch.from_numpy(np.flatnonzero(seen.numpy()))
    held = meaning.precise(penalised.view(-1)[places])
    penalised.view(-1)[places] = torch.where(held > 0, held / alpha, held * alpha).to(logits)
    return penalised
