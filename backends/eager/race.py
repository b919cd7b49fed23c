"""Draws on the host: addresses in Python integers, noise of the same bits as `ir.noise`'s, argmaxes by numpy.

Signs are changed, so that the least of a race is a largest; numpy's argmax is vectorised where torch's is not.
"""


import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penstock.backends.eager.places import Numbers, array
from penstock.ir.noise import FIRST, MASK32, SECOND, address, token_words
from penstock.ir.ops.logits import top_ids as top_ids_op

FIFTEEN, THIRTEEN, SIXTEEN, ONE = (np.uint32(n) for n in (15, 13, 16, 1))
STIR_FIRST, STIR_SECOND = np.uint32(FIRST), np.uint32(SECOND)
HALF, SCALE, LEAST = (np.float32(x) for x in (0.5, -(2.0**-31), 2.0**-24 - 1))


def race(weights: Tensor, key: Numbers, stage: str, purpose: str, at: Numbers, *, live: Numbers) -> Numbers:
    """Row by row, so that one row's noise stays in the cache; a row that is not live draws nothing, and gets token 0."""
    words = [address(k, stage, purpose, [c if isinstance(c, int) else c[b] for c in at]) for b, k in enumerate(key)]
    return [winner(weights[b], word) if live[b] else 0 for b, word in enumerate(words)]


def winner(weights: Tensor, word: int) -> int:
    """The token of weights ``[v]`` whose exponential at this address, over its weight, is least."""
    noise = negated(token_words(weights.shape[0]), word)
    noise = noise if weights.dtype == torch.float32 else noise.to(weights)
    return int((noise / weights).numpy().argmax())


def negated(tokens: NDArray[np.uint32], word: int) -> Tensor:
    """The exponentials of an address and these token words, with their sign changed: float32 ``[n]``."""
    x = tokens ^ np.uint32(word & MASK32)
    x ^= x >> FIFTEEN
    x *= STIR_FIRST
    x ^= np.uint32(word >> 32)
    x ^= x >> THIRTEEN
    x *= STIR_SECOND
    x ^= x >> SIXTEEN
    x >>= ONE
    uniform = x.view(np.int32).astype(np.float32)
    uniform += HALF
    uniform *= SCALE
    np.maximum(uniform, LEAST, out=uniform)
    return torch.from_numpy(uniform).log1p_()  # torch's, for the very bits of the meaning; numpy's differ by machine


def largest(logits: Tensor, tip: int) -> Numbers:
    return array(logits)[:, tip].argmax(-1).tolist()


def top_ids(logits: Tensor, first: Tensor | None, each: int) -> Numbers:
    """One argmax after another: a draft takes a handful of a large vocabulary."""
    keys = [array(x).reshape(-1, x.shape[-1]) for x in (first, logits) if x is not None]
    score, rows, found = (keys[0].copy() if each > 1 else keys[0]), np.arange(len(keys[0])), []
    for _ in range(each):
        best = score.argmax(1)
        top = score[rows, best]
        if np.isneginf(top).any():  # the rest of a row ties, with what was taken already
            return top_ids_op.meaning(logits, first, each).tolist()
        for r in rows if first is not None else ():
            tied = np.flatnonzero(score[r] == top[r])
            best[r] = tied[keys[1][r, tied].argmax()]
        found.append(best)
        if len(found) < each:
            score[rows, best] = -np.inf
    return np.stack(found, 1).reshape(len(logits), -1).tolist()
