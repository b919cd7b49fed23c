"""Draws on the host: addresses in Python integers, noise of the same bits as `ir.noise`'s, argmaxes by numpy.

Signs are changed, so that the least of a race is a largest; numpy's argmax is vectorised where torch's is not.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penstock.backends.eager.places import Numbers
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


def array(logits: Tensor) -> Any:
    """Logits as a numpy array, which has no bfloat16."""
    return logits.numpy() if logits.dtype in (torch.float32, torch.float64) else logits.float().numpy()


def largest(logits: Tensor, tip: int) -> Numbers:
    return array(logits)[:, tip].argmax(-1).tolist()


def top_ids(logits: Tensor, first: Tensor | None, each: int) -> Numbers:
    """One argmax after another: a draft takes a handful of a large vocabulary."""
    places = [[(b, t) for t in range(logits.shape[1])] for b in range(len(logits))]
    return [[x for at in row for x in ranked(logits[at], None if first is None else first[at], each)] for row in places]


def ranked(logits: Tensor, first: Tensor | None, count: int) -> list[int]:
    """The ``count`` largest ids of one tip, by ``first`` if given, and by the logits where that ties."""
    second = array(logits)
    score, ids = (second if first is None else array(first)), list[int]()
    score = score.copy() if count > 1 else score
    while len(ids) < count:
        best = int(score.argmax())
        if first is not None and len(tied := np.flatnonzero(score == score[best])) > 1:
            best = int(tied[second[tied].argmax()])
        if score[best] == -np.inf:  # the rest ties, with what was taken already
            one, other = logits[None, None], None if first is None else first[None, None]
            return list(top_ids_op.meaning(one, other, count)[0].tolist())
        ids.append(best)
        if len(ids) < count:
            score[best] = -np.inf
    return ids
