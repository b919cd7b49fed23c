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
NEAR = 1 << 17
"""Tokens that are looked at one by one, those of a row as often as one of its likeliest is wanted."""


def top_ids(logits: Tensor, first: Tensor | None, each: int) -> Numbers:
    if first is None and each == 1:
        return array(logits).argmax(-1).tolist()
    keys = [array(x).reshape(-1, x.shape[-1]) for x in (first, logits) if x is not None]
    found = firsts(keys[0], each) if first is None else None
    return (ranked(keys, each) if found is None else found).reshape(len(logits), -1).tolist()


def firsts(values: Any, k: int) -> Any:
    """Places ``[r,k]`` of the k largest of ``values [r,v]``, in order, the first of those that tie; None where it cannot say."""
    return one_by_one(values, k) if values.shape[1] * k <= NEAR else within_blocks(values, k)


def one_by_one(values: Any, k: int) -> Any:
    """`firsts`, each the largest of those that are left, while a row is at hand.

    What was found is struck out where it is, and put back: a copy takes longer than to look. None where a row runs out.
    """
    found, out = np.empty((len(values), k), np.int64), False
    for row, places in zip(values, found, strict=True):
        held = []
        for i in range(k):
            places[i] = best = row.argmax()
            held.append(row[best])
            row[best] = -math.inf
        row[places[::-1]] = held[::-1]  # the other way round, for of a row that ran out a place was struck twice
        out = out or held[-1] == -math.inf
    return None if out else found


def within_blocks(values: Any, k: int) -> Any:
    """`firsts`, which are in the k blocks of largest maxima.

    None where a row has fewer blocks that hold anything, and where a vocabulary has few, or tokens left over after whole ones.
    All rows go together, and places are counted over all: on so few numbers a call takes longer than what it does.
    """
    rows, count, left = len(values), *divmod(values.shape[1], WIDTH)
    if left or count < 2 * k:
        return None
    maxima = torch.from_numpy(values).view(rows, count, WIDTH).amax(-1).numpy()  # numpy's is seven times slower
    blocks = taken(maxima, k)
    if maxima.ravel()[blocks[-1]].min() == -math.inf:
        return None
    held = np.sort(blocks.T)  # so that places near the top are in the order of tokens
    block, inside = np.divmod(taken(values.reshape(-1, WIDTH)[held].reshape(rows, -1), k), WIDTH)
    return (held.ravel()[block] % count * WIDTH + inside).T


def taken(values: Any, k: int) -> Any:
    """Places ``[k,r]``, counted over all of ``values [r,n]``, of the k largest of each row; all but the last are used up."""
    rows, count = values.shape
    line, first, places = values.ravel(), np.arange(0, rows * count, count), np.empty((k, rows), np.int64)
    for i, place in enumerate(places):
        if i:
            line[places[i - 1]] = -math.inf
        values.argmax(1, place)
        place += first
    return places


def ranked(keys: list[Any], k: int) -> Any:
    """Places ``[r,k]`` of the k largest by the first key, by the next where that ties, then the lowest: of all that may be."""
    blocks = Blocks.of(keys[0], k)
    row, near = np.divmod(blocks.not_below(blocks.bounds(k)), keys[0].shape[1])
    order = np.lexsort((-near, *(key[row, near] for key in reversed(keys)), -row))[::-1]  # backwards: what is no number is first
    return near[order[np.searchsorted(row, np.arange(len(keys[0])))[:, None] + np.arange(k)]]
