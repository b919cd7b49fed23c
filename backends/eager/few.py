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
    least = np.partition(values, values.shape[-1] - k)[..., -k, None]
    kept = ~(values < least)
    if np.count_nonzero(kept) * values.shape[-1] == k * values.size:
        return kept
    if (unknown := np.isnan(least)).any():  # there only such are among them, and tie
        return largest(np.where(unknown, np.isnan(values), values), k)
    tied = values == least
    room = k - (kept & ~tied).sum(-1, keepdims=True)
    return kept & ~(tied & (tied.cumsum(-1) > room))


def in_nucleus(values: Any, p: Any) -> Any:
    """Which are the fewest that reach p, a number or one a row; all where p is infinite, or a row's largest is not finite."""
    top = values.max(-1, keepdims=True)
    if not (told := np.isfinite(top)).all():
        return in_nucleus(np.where(told, values, 0), p) | ~told
    mass = np.exp(np.sort(values)[..., ::-1] - top).cumsum(-1, np.float64)
    rank = (-values).argsort(-1, kind="stable").argsort(-1)
    return rank <= (mass[..., :-1] < p * mass[..., -1:]).sum(-1, keepdims=True)


def likely(values: Any, p: Any) -> Any:
    """Which are at least p times as likely as the likeliest, p a number or one a row; all of a row that has none."""
    top = values.max(-1, keepdims=True)
    if not (told := np.isfinite(top)).all():
        return likely(np.where(told, values, 0), p) | ~told
    return ~(np.exp(values - top) < np.asarray(p, values.dtype))
