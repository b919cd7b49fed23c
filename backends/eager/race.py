"""Draws on the host: addresses in Python integers, noise of the same bits as `ir.noise`'s, argmaxes by numpy.

Signs are changed, so that the least of a race is a largest; numpy's argmax is vectorised where torch's is not.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.places import NUMPY_HAS, Numbers, array
from penstock.ir.errors import PenstockError
from penstock.ir.noise import LEAST, MASK32, SCALE, address, negated, parts, token_words, words_of

CACHED = 1 << 16
"""The most exponentials that are made at once."""
WIDE, SPARSE = 1 << 13, 4
"""In rows of at least so many tokens, of which at most one in so many weighs anything, those are looked for first."""
GLANCE = 512
"""Where most of so many tokens in the middle weigh something, few of all hardly do: a guess, which changes no winner."""
ROUNDING = 1 + 1e-5
"""More than a share that quotients of float32 are off by."""


def race(weights: Tensor, key: Numbers, stage: str, purpose: str, at: Numbers, *, live: Numbers) -> Numbers:
    """A row that is not live draws nothing, and gets token 0."""
    rows, words = read(key, stage, purpose, at, live)
    return supported(weights, rows, winners(weights if len(rows) == len(live) else weights[rows], words), stage)


def race_among(weights: Tensor, ids: Tensor, key: Numbers, stage: str, purpose: str, at: Numbers, *, live: Numbers) -> Numbers:
    """`race`, of candidates."""
    rows, words = read(key, stage, purpose, at, live)
    own, tokens = (weights, ids.numpy()) if len(rows) == len(live) else (weights[rows], ids.numpy()[rows])
    places = supported(weights, rows, winners_among(own, tokens, words), stage)
    return [int(row[place]) if on else 0 for row, place, on in zip(ids.numpy(), places, live, strict=True)]


def read(key: Numbers, stage: str, purpose: str, at: Numbers, live: Numbers) -> tuple[list[int], list[int]]:
    """Rows that draw, and their addresses."""
    rows = [b for b, on in enumerate(live) if on]
    return rows, [address(key[b], stage, purpose, [c if isinstance(c, int) else c[b] for c in at]) for b in rows]


def supported(weights: Tensor, rows: list[int], won: list[int], stage: str) -> list[int]:
    """By row the place that won, 0 in idle ones. Raises PenstockError where it weighs nothing."""
    drawn, held = [0] * len(weights), array(weights)
    for b, place in zip(rows, won, strict=True):
        if not held[b, place] > 0:  # NaN too
            what = f"stage {stage}: row {b} has nothing to draw from: its logits are no numbers, or all forbidden"
            raise PenstockError(what, fix="check its model's weights and precision, and the transforms that it mirrors")
        drawn[b] = place
    return drawn


def winners(weights: Tensor, words: list[int]) -> list[int]:
    """`winner` of every row of ``[n,v]``; together, as long as their noise stays in the processor's cache."""
    many, found = max(1, CACHED // weights.shape[1]), list[int]()
    if many == 1 or len(words) == 1 or weights.shape[1] >= WIDE:
        return [winner(weights[i], word) for i, word in enumerate(words)]
    for i in range(0, len(words), many):
        noise = negated(token_words(weights.shape[1]), *columns(words[i : i + many]))
        found += least(noise, weights[i : i + many]).tolist()
    return found


def winner(weights: Tensor, word: int) -> int:
    """The token of weights ``[v]`` whose exponential at this address, over its weight, is least."""
    ids = few_weighing(weights)
    if ids is None and len(weights) >= WIDE and weights.dtype in NUMPY_HAS:  # others' quotients are coarse, and tie
        ids = early(weights, word)
    if ids is not None:
        return int(ids[winner_among(weights[ids], ids, word) if len(ids) > 1 else 0])
    low, high = halved(word)
    return int(least(negated(token_words(weights.shape[0]), np.uint32(low), np.uint32(high)), weights))


def early(weights: Tensor, word: int) -> Tensor | None:
    """The tokens ``[k]`` that may win, in order: few, and mostly one.

    An exponential ``-log1p(-u)`` is not below its u, so no logarithm is needed of whoever is later by u alone than some token is
    by its exponential. None where a weight is no number, or all are 0.
    """
    low, high = halved(word)
    uniform = parts(token_words(len(weights)), np.uint32(low), np.uint32(high))
    soonest = array(torch.from_numpy(uniform) / weights)
    some = int(soonest.argmin())
    weight = float(weights[some])
    if not weight > 0:
        return None
    exponential = -math.log1p(max(float(uniform[some]) * float(SCALE), float(LEAST)))
    return torch.from_numpy(np.flatnonzero(soonest <= exponential / weight / -float(SCALE) * ROUNDING))


def few_weighing(weights: Tensor) -> Tensor | None:
    """The tokens that weigh anything, where they are few of many: noise is made for them alone. None where they are not."""
    if len(weights) < WIDE:
        return None
    held = array(weights)
    if np.count_nonzero(held[len(held) // 2 :][:GLANCE] > 0) > GLANCE // 2:
        return None
    nothing = held <= 0  # not so of NaN, which is drawn, to be seen
    count = len(weights) - np.count_nonzero(nothing)
    return torch.from_numpy(np.flatnonzero(~nothing)) if 0 < count <= len(weights) // SPARSE else None


def winners_among(weights: Tensor, ids: Any, words: list[int]) -> list[int]:
    """`winner_among` of every row of candidates ``[n,k]``."""
    return least(negated(words_of(ids), *columns(words)), weights).tolist()  # type: ignore[no-any-return]


def winner_among(weights: Tensor, ids: Tensor, word: int) -> int:
    """The place among candidates ``[k]`` whose exponential at this address, over its weight, is least."""
    low, high = halved(word)
    return int(least(negated(words_of(ids.numpy()), np.uint32(low), np.uint32(high)), weights))


def least(noise: Tensor, weights: Tensor) -> Any:
    """Where noise over weights, of which the noise has its sign changed, is least."""
    return array((noise if weights.dtype == torch.float32 else noise.to(weights)) / weights).argmax(-1)


def columns(words: list[int]) -> Any:
    """The low and the high 32 bits of addresses, ``[2,n,1]``."""
    return np.array(words, "<u8").view("<u4").reshape(-1, 2, 1).swapaxes(0, 1)


def halved(word: int) -> tuple[int, int]:
    """The low and the high 32 bits of an address."""
    return word & MASK32, word >> 32


def largest(logits: Tensor, tip: int) -> Numbers:
    return array(logits)[:, tip].argmax(-1).tolist()
