"""Arithmetic on the few numbers of a site that were looked for, by numpy, of which a call is a fraction of one of torch's.

Shapes are ``[*b,c]``; numbers are single precision at least, and rounded where the logits that they are of are less precise.
"""

from typing import Any

import numpy as np
import torch

from penstock.backends.eager.places import NUMPY_HAS, array


def rounded(values: Any, dtype: torch.dtype) -> Any:
    """What logits of this precision can hold of them."""
    return values if dtype in NUMPY_HAS else array(torch.from_numpy(values).to(dtype))


def penalised(values: Any, seen: Any, alpha: float) -> Any:
    """`repetition_penalty` of the values that were seen; the very same array where none was."""
    places = np.nonzero(seen)
    held = values[places]
    if not held.size:
        return values
    shaped = values.copy()
    shaped[places] = np.where(held > 0, held / alpha, held * alpha)
    return shaped


def largest(values: Any, k: int) -> Any:
    """Which are the k largest of a row, of those that tie the first; what is no number is largest."""
    return down_to(values, np.partition(values, values.shape[-1] - k)[..., -k, None], np.full((*values.shape[:-1], 1), k))


def in_nucleus(values: Any, p: Any) -> Any:
    """Which are the fewest that reach p, a number or one a row; all of a row whose largest is no finite number."""
    ordered = np.sort(values)[..., ::-1]
    top = ordered[..., :1]
    if not (told := np.isfinite(top)).all():
        return in_nucleus(np.where(told, values, 0), p) | ~told
    mass = np.exp(ordered - top).cumsum(-1, np.float64)
    needed = (mass[..., :-1] < p * mass[..., -1:]) | (p >= 1)
    count = needed.sum(-1, keepdims=True) + 1
    last = np.where(needed, ordered[..., 1:], np.inf).min(-1, initial=np.inf, keepdims=True)
    return down_to(values, np.minimum(last, top), count)


def down_to(values: Any, least: Any, count: Any) -> Any:
    """Which are the largest, so many ``[*b,1]`` of a row, of which this ``[*b,1]`` is the last; of those that tie the first."""
    kept = ~(values < least)
    if np.count_nonzero(kept) == count.sum():
        return kept
    if (unknown := np.isnan(least)).any():  # there only such count, and they tie
        return down_to(np.where(unknown, np.isnan(values), values), np.where(unknown, 1, least), count)
    tied = values == least
    room = count - np.count_nonzero(kept & ~tied, axis=-1, keepdims=True)
    return kept & ~(tied & (tied.cumsum(-1) > room))


def likely(values: Any, p: Any) -> Any:
    """Which are at least p times as likely as the likeliest, p a number or one a row; all of a row that has none."""
    top = values.max(-1, keepdims=True)
    if not (told := np.isfinite(top)).all():
        return likely(np.where(told, values, 0), p) | ~told
    return ~(np.exp(values - top) < np.asarray(p, values.dtype))
