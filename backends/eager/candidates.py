"""The k largest logits, without a sort of the vocabulary.

The k-th largest of the maxima of blocks bounds the k-th largest logit from below, so all that are not below it hold the k largest
and few more; ties are settled among these, exactly.
"""

from itertools import pairwise
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
    return shaped_candidates(logits, None, 1.0, 1.0, int(k))


def shaped_candidates(logits: Tensor, seen: Tensor | None, alpha: float, temperature: float, k: int) -> Tensor:
    """Only those that may be among them are shaped."""
    size = logits.shape[-1]
    if k >= size:
        return torch.arange(size).expand(logits.shape)
    values, said = array(logits).reshape(-1, size), None if seen is None else seen.numpy().reshape(-1, size)
    row, near = shortlist(values, said, alpha, k, ROUNDINGS * torch.finfo(logits.dtype).eps)
    few = torch.from_numpy(values[row, near]).to(logits.dtype)
    if said is not None:
        few = repetition_penalty.meaning(few, torch.from_numpy(said[row, near]), alpha)
    few, ends = array(scale.meaning(few, temperature)), np.searchsorted(row, np.arange(len(values) + 1))
    found = [near[i:j][settled(few[i:j], k)] for i, j in pairwise(ends.tolist())]
    return torch.from_numpy(np.concatenate(found)).view(*logits.shape[:-1], k)


def shortlist(values: Any, said: Any, alpha: float, k: int, share: float) -> tuple[Any, Any]:
    """Rows and tokens ``[c]``, in order: whoever may be among the k largest of a row of ``values [r,v]`` once it is shaped.

    Of the ``k + n`` largest logits at most n were seen, so that k unseen ones are not below their bound. Whoever is largest when
    all is shaped is not below it either, or was seen and raised, which takes an ``alpha`` below 1. A quotient may round to
    another's, so the bound is lowered by what that can be, a share of it.
    """
    most = [k] * len(values) if said is None else [k + int(np.count_nonzero(row)) for row in said]
    blocks = Blocks.of(values, max(most))
    bounds = [blocks.bound(row, among) for row, among in enumerate(most)]
    row, near = blocks.not_below([bound - abs(bound) * share for bound in bounds])
    if said is None or alpha >= 1:
        return row, near
    size = values.shape[1]
    raised = np.concatenate([i * size + np.flatnonzero(each) for i, each in enumerate(said)])
    return np.divmod(np.union1d(row * size + near, raised), size)


def settled(values: Any, k: int) -> Any:
    """The places of the k largest of ``values [c]``, of those that tie the first; what is no number is largest."""
    least = np.partition(values, len(values) - k)[-k]
    kept = np.flatnonzero(~(values < least))
    if len(kept) == k:
        return kept
    if np.isnan(least):
        return np.flatnonzero(np.isnan(values))[:k]
    kept = ~(values <= least)
    kept[np.flatnonzero(values == least)[: k - np.count_nonzero(kept)]] = True
    return np.flatnonzero(kept)
