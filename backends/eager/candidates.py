"""The k largest logits, without a sort of the vocabulary.

The k-th largest of the maxima of blocks bounds the k-th largest logit from below, so all that are not below it hold the k largest
and few more; ties are settled among these, exactly.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.places import array
from penstock.ir.ops.logits import repetition_penalty, scale

ROUNDINGS = 4
"""A quotient is off by less than so many units in the last place."""
BLOCK = 128
"""The most tokens of which one maximum is taken."""
NARROWEST = 8
"""Blocks narrower than this are no shortcut."""


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
    values = array(logits)
    near = np.flatnonzero(~(values < bound(values, k)))  # what is no number stays, to be seen
    return near if len(near) == k else near[settled(values[near], k)]


def shaped_candidates(logits: Tensor, seen: Tensor | None, alpha: float, temperature: float, k: int) -> Tensor:
    size = logits.shape[-1]
    rows, said = logits.reshape(-1, size), [None] * (logits.numel() // size) if seen is None else seen.reshape(-1, size)
    found = [largest_shaped(row, mine, alpha, temperature, min(k, size)) for row, mine in zip(rows, said, strict=True)]
    return torch.from_numpy(np.stack(found)).view(*logits.shape[:-1], -1)


def largest_shaped(logits: Tensor, seen: Tensor | None, alpha: float, temperature: float, k: int) -> Any:
    """`shaped_candidates` of one row, of which only those that may be among them are shaped.

    Of the ``k + n`` largest logits at most n were seen, so that k unseen ones are not below their bound: whoever is largest when
    all is shaped is not below it or was seen. A quotient may round to another's, so the bound is lowered by what that can be.
    """
    values, said = array(logits), None if seen is None else seen.numpy()
    most = k if said is None else k + int(np.count_nonzero(said))
    floor = float(bound(values, most)) if most < len(values) else -math.inf
    near = ~(values < floor - abs(floor) * ROUNDINGS * torch.finfo(logits.dtype).eps)
    ids = np.flatnonzero(near if said is None else np.logical_or(near, said, out=near))
    few = logits[ids]
    if seen is not None:
        few = repetition_penalty.meaning(few, seen[ids], alpha)
    return ids[settled(array(scale.meaning(few, temperature)), k)]


def bound(values: Any, k: int) -> Any:
    """What the k-th largest of ``values [v]`` is not below: the k-th largest of their blocks' maxima."""
    width = min(BLOCK, 1 << (len(values) // (2 * k)).bit_length() - 1) if len(values) >= 2 * k else 1
    if width < NARROWEST:
        return np.partition(values, len(values) - k)[-k]
    count = len(values) // width
    maxima = torch.from_numpy(values[: count * width]).view(count, width).amax(-1).numpy()  # numpy's is seven times slower
    return np.partition(maxima, count - k)[-k]


def settled(values: Any, k: int) -> Any:
    """The places of the k largest of ``values [c]``, of those that tie the first; what is no number is largest."""
    least = np.partition(values, len(values) - k)[-k]
    if np.isnan(least):
        return np.flatnonzero(np.isnan(values))[:k]
    kept = ~(values <= least)
    kept[np.flatnonzero(values == least)[: k - np.count_nonzero(kept)]] = True
    return np.flatnonzero(kept)
