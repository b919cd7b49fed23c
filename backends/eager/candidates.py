"""The k largest logits, without a sort of the vocabulary.

The k-th largest of the maxima of blocks bounds the k-th largest logit from below, so all that are not below it hold the k largest
and few more; ties are settled among these, exactly.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.blocks import Blocks
from penstock.backends.eager.places import array
from penstock.ir.ops.logits import repetition_penalty, scale

ROUNDINGS = 4
"""A quotient is off by less than so many units in the last place."""


def candidates(logits: Tensor, k: int | Tensor) -> Tensor:
    k = int(k)
    if k >= logits.shape[-1]:
        return torch.arange(logits.shape[-1]).expand(logits.shape)
    if logits.dim() == 1:
        return torch.from_numpy(largest(logits, k))
    rows = logits.reshape(-1, logits.shape[-1])
    return torch.from_numpy(np.stack([largest(row, k) for row in rows])).view(*logits.shape[:-1], k)


def largest(logits: Tensor, k: int) -> Any:
    """`candidates` of one row, as an array; k is less than the row is long."""
    blocks = Blocks.of(array(logits), k)
    near = blocks.not_below(blocks.bound(k))
    return near if len(near) == k else near[settled(blocks.values[near], k)]


def shaped_candidates(logits: Tensor, seen: Tensor | None, alpha: float, temperature: float, k: int) -> Tensor:
    size = logits.shape[-1]
    if logits.dim() == 1:
        return torch.from_numpy(largest_shaped(logits, seen, alpha, temperature, min(k, size)))
    rows, said = logits.reshape(-1, size), [None] * (logits.numel() // size) if seen is None else seen.reshape(-1, size)
    found = [largest_shaped(row, mine, alpha, temperature, min(k, size)) for row, mine in zip(rows, said, strict=True)]
    return torch.from_numpy(np.stack(found)).view(*logits.shape[:-1], -1)


def largest_shaped(logits: Tensor, seen: Tensor | None, alpha: float, temperature: float, k: int) -> Any:
    """`shaped_candidates` of one row, of which only those that may be among them are shaped.

    Of the ``k + n`` largest logits at most n were seen, so that k unseen ones are not below their bound. Whoever is largest when
    all is shaped is not below it either, or was seen and raised, which takes an ``alpha`` below 1. A quotient may round to
    another's, so the bound is lowered by what that can be.
    """
    values, said = array(logits), None if seen is None else seen.numpy()
    most = k if said is None else k + int(np.count_nonzero(said))
    near = not_far_below(values, most, ROUNDINGS * torch.finfo(logits.dtype).eps)
    if said is not None and alpha < 1:
        near = np.union1d(near, np.flatnonzero(said))
    few = logits[near]
    if seen is not None:
        few = repetition_penalty.meaning(few, seen[near], alpha)
    return near[settled(array(scale.meaning(few, temperature)), k)]


def not_far_below(values: Any, k: int, share: float) -> Any:
    """The places of at least the k largest of ``values [v]``: of those not below their bound by more than this share of it."""
    if k >= len(values):
        return np.arange(len(values))
    blocks = Blocks.of(values, k)
    floor = blocks.bound(k)
    return blocks.not_below(floor - abs(floor) * share)


def settled(values: Any, k: int) -> Any:
    """The places of the k largest of ``values [c]``, of those that tie the first; what is no number is largest."""
    least = np.partition(values, len(values) - k)[-k]
    if np.isnan(least):
        return np.flatnonzero(np.isnan(values))[:k]
    kept = ~(values <= least)
    kept[np.flatnonzero(values == least)[: k - np.count_nonzero(kept)]] = True
    return np.flatnonzero(kept)
