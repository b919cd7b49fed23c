"""Draws on the host: addresses in Python integers, noise of the same bits as `ir.noise`'s, argmaxes by numpy.

Signs are changed, so that the least of a race is a largest; numpy's argmax is vectorised where torch's is not.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penstock.backends.eager.places import Numbers, array
from penstock.ir.errors import PenstockError
from penstock.ir.noise import FIRST, MASK32, SECOND, address, token_words
from penstock.ir.ops.logits import top_ids as top_ids_op

CACHED = 1 << 16
"""How many exponentials are made at once: all rows' together, as long as they stay in the processor's cache."""
FIFTEEN, THIRTEEN, SIXTEEN, ONE = (np.uint32(n) for n in (15, 13, 16, 1))
STIR_FIRST, STIR_SECOND = np.uint32(FIRST), np.uint32(SECOND)
HALF, SCALE, LEAST = (np.float32(x) for x in (0.5, -(2.0**-31), 2.0**-24 - 1))


def race(weights: Tensor, key: Numbers, stage: str, purpose: str, at: Numbers, *, live: Numbers) -> Numbers:
    """A row that is not live draws nothing, and gets token 0."""
    rows = [b for b, on in enumerate(live) if on]
    words = [address(key[b], stage, purpose, [c if isinstance(c, int) else c[b] for c in at]) for b in rows]
    drawn = dict(zip(rows, winners(weights if len(rows) == len(live) else weights[rows], words), strict=True))
    held = weights.numpy()
    for b, token in drawn.items():
        if not held[b, token] > 0:  # NaN too
            what = f"stage {stage}: row {b} has nothing to draw from"
            raise PenstockError(what, fix="check this model's weights and precision")
    return [drawn.get(b, 0) for b in range(len(live))]


def winners(weights: Tensor, words: list[int]) -> list[int]:
    """The tokens of weights ``[n,v]`` whose exponentials at these addresses, over their weights, are least."""
    size = weights.shape[1]
    many = max(1, CACHED // size)
    found: list[int] = []
    for i in range(0, len(words), many):
        noise = negated(token_words(size), words[i : i + many])
        noise = noise if weights.dtype == torch.float32 else noise.to(weights)
        found += (noise / weights[i : i + many]).numpy().argmax(1).tolist()
    return found


def negated(tokens: NDArray[np.uint32], words: list[int]) -> Tensor:
    """The exponentials of addresses and token words, with their sign changed: float32 ``[n,v]``."""
    low, high = (np.array([[word >> bits & MASK32] for word in words], np.uint32) for bits in (0, 32))
    x = tokens ^ low
    x ^= x >> FIFTEEN
    x *= STIR_FIRST
    x ^= high
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
