"""Shaping logits on the host: the meanings' arithmetic with less around it, and truncations without a sort."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.candidates import candidates
from penstock.backends.eager.few import in_nucleus, likely
from penstock.backends.eager.places import array
from penstock.backends.eager.thresholds import FEW, nucleus
from penstock.ir.ops import logits as meaning, threshold
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
    size, shares = logits.shape[-1], p.tolist() if isinstance(p, Tensor) else p
    if size <= FEW:
        return kept(logits, in_nucleus(array(logits), by_row(out_of_reach(shares), logits)))
    if logits.dim() == 1:
        return only(logits, nucleus(logits, shares))
    rows = logits.reshape(-1, size)
    shares = np.repeat(shares, len(rows) // len(shares)) if isinstance(shares, list) else [shares] * len(rows)
    return torch.stack([only(row, nucleus(row, share)) for row, share in zip(rows, shares, strict=True)]).view(logits.shape)


def min_p(logits: Tensor, p: float | Tensor) -> Tensor:
    if logits.shape[-1] > FEW:
        return threshold.min_p.meaning(logits, p)  # type: ignore[no-any-return]
    return kept(logits, likely(array(logits), by_row(p.tolist() if isinstance(p, Tensor) else p, logits)))


def out_of_reach(shares: float | list[float]) -> Any:
    """A share of 1 is infinite: sums of roundings may reach 1 early."""
    return [out_of_reach(p) for p in shares] if isinstance(shares, list) else shares if shares < 1 else math.inf


def by_row(shares: float | list[float], logits: Tensor) -> Any:
    """A number, or one a row, that broadcasts over logits ``[b,...]``."""
    return np.reshape(shares, (-1, *[1] * (logits.dim() - 1))) if isinstance(shares, list) else shares


def kept(logits: Tensor, these: Any) -> Tensor:
    """-inf but where it holds."""
    return logits.masked_fill(torch.from_numpy(~these), -torch.inf)


def only(logits: Tensor, ids: Tensor) -> Tensor:
    """-inf but at these tokens."""
    if len(ids) == len(logits):
        return logits
    return torch.full_like(logits, -torch.inf).scatter_(0, ids, logits.index_select(0, ids))  # indexing takes twice as long


def repetition_penalty(logits: Tensor, seen: Tensor, alpha: float | Tensor) -> Tensor:
    """Few tokens were seen: the others are only copied."""
    if isinstance(alpha, Tensor) and alpha.dim() or logits.numel() <= FEW:
        return meaning.repetition_penalty.meaning(logits, seen, alpha)  # type: ignore[no-any-return]
    penalised, places = logits.clone(memory_format=torch.contiguous_format), torch.from_numpy(np.flatnonzero(seen.numpy()))
    held = meaning.precise(penalised.view(-1)[places])
    penalised.view(-1)[places] = torch.where(held > 0, held / alpha, held * alpha).to(logits)
    return penalised
