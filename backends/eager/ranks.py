"""The few likeliest tokens of every tip of a draft, in order, out of a large vocabulary."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.blocks import Blocks
from penstock.backends.eager.places import Numbers, array

WIDTH = 128
"""Tokens of which one maximum is taken."""


def top_ids(logits: Tensor, first: Tensor | None, each: int) -> Numbers:
    if first is None and each == 1:
        return array(logits).argmax(-1).tolist()
    keys = [array(x).reshape(-1, x.shape[-1]) for x in (first, logits) if x is not None]
    found = firsts(keys[0], each) if first is None else None
    return (ranked(keys, each) if found is None else found).reshape(len(logits), -1).tolist()


def firsts(values: Any, k: int) -> Any:
    """Places ``[r,k]`` of the k largest of ``values [r,v]``, in order, the first of those that tie.

    They are in the k blocks of largest maxima. None where a row has fewer blocks that hold anything, and where a vocabulary has
    few, or tokens left over after whole ones. All rows go together: on so few numbers a call takes longer than what it does.
    """
    rows, count, left = len(values), *divmod(values.shape[1], WIDTH)
    if left or count < 2 * k:
        return None
    maxima = torch.from_numpy(values).view(rows, count, WIDTH).amax(-1).numpy()  # numpy's is seven times slower
    each, held = np.arange(rows), taken(maxima.copy(), k)
    if maxima[each, held[:, -1]].min() == -math.inf:
        return None
    held.sort(1)
    near = values.reshape(rows, count, WIDTH)[each[:, None], held].reshape(rows, -1)
    block, inside = np.divmod(taken(near, k), WIDTH)
    return held[each[:, None], block] * WIDTH + inside


def taken(values: Any, k: int) -> Any:
    """Places ``[r,k]`` of the largest, one after another; the values are used up."""
    rows, places = np.arange(len(values)), np.empty((len(values), k), np.int64)
    for i in range(k):
        places[:, i] = best = values.argmax(1)
        values[rows, best] = -math.inf
    return places


def ranked(keys: list[Any], k: int) -> Any:
    """Places ``[r,k]`` of the k largest by the first key, by the next where that ties, then the lowest: of all that may be."""
    blocks = Blocks.of(keys[0], k)
    row, near = np.divmod(blocks.not_below(blocks.bounds(k)), keys[0].shape[1])
    order = np.lexsort((-near, *(key[row, near] for key in reversed(keys)), -row))[::-1]  # backwards: what is no number is first
    return near[order[np.searchsorted(row, np.arange(len(keys[0])))[:, None] + np.arange(k)]]
