"""Which tokens a truncation leaves, without a sort of the vocabulary.

The k-th largest of the maxima of blocks bounds the k-th largest logit from below, so all that are not below it hold the k largest
and few more; ties are settled among these, exactly. A nucleus is found by bisection on the logit: first at such a bound, which is
all that a peaked distribution needs, then by halves until what is undecided is few.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.places import array
from penstock.ir.ops.logits import precise, repetition_penalty, scale

ROUNDINGS = 4
"""A quotient is off by less than so many units in the last place."""
BLOCK = 128
"""The most tokens of which one maximum is taken."""
NARROWEST = 8
"""Blocks narrower than this are no shortcut."""
NUCLEUS = 128
"""How many blocks' maxima bound the first guess at a nucleus: it has at least as many tokens."""
FEW = 4096
"""So many undecided tokens are sorted."""
PROBES = 12
"""Bisections at most: more tokens than are few may tie."""
SLACK = 1e-2
"""More than a rounding of logits makes of them."""
CLOSE = 1e-5
"""Masses in single precision that are this close are not told apart: what is between is added up in double precision."""


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


def nucleus(logits: Tensor, p: float | Tensor) -> Tensor:
    """The ids ``[k]`` that `top_p` leaves of logits ``[v]``, ascending; k depends on the logits."""
    p, wide = float(p), precise(logits)
    values, top = wide.numpy(), float(wide.amax())
    if p >= 1 or not math.isfinite(top):
        return supported(wide)
    least, count = last_of_few(values, p) if len(values) <= FEW else last_of_many(wide, p, top)
    kept = np.flatnonzero(values >= least)
    return torch.from_numpy(kept if len(kept) == count else kept[settled(values[kept], count)])


def near_the_top(logits: Tensor, p: float | Tensor) -> Tensor:
    p, wide = float(p), precise(logits)
    values, top = wide.numpy(), float(wide.amax())
    if p <= 0 or not math.isfinite(top):
        return supported(wide)
    near = np.flatnonzero(values >= top + math.log(p) - SLACK)
    return torch.from_numpy(near[~(np.exp(values[near] - values.dtype.type(top)) < p)])


def supported(logits: Tensor) -> Tensor:
    ids = np.flatnonzero(~(array(logits) == -np.inf))
    return torch.from_numpy(ids if len(ids) else np.arange(logits.shape[-1]))


def last_of_few(values: Any, p: float) -> tuple[Any, int]:
    """The least logit of the nucleus, and how many tokens it has: by a sort."""
    ordered = np.sort(values)[::-1]
    mass = np.cumsum(np.exp(ordered - ordered[0]), dtype=np.float64)
    count = 1 + int(np.searchsorted(mass[:-1], p * mass[-1]))
    return ordered[count - 1], count


def last_of_many(values: Tensor, p: float, top: float) -> tuple[Any, int]:
    """The same by bisection: only what is undecided is sorted."""
    chance = values.softmax(-1).numpy()
    return last_of(values.numpy(), chance, p, *undecided(values.numpy(), chance, p, top))


def undecided(values: Any, chance: Any, p: float, top: float) -> tuple[float, float]:
    """``(low, high)``: the least logit of the nucleus is in ``[low, high)``.

    All logits below ``top + log((1 - p) / v)`` together weigh less than ``1 - p``, so the first ``low`` is no guess.
    """
    low, high, beyond = top + math.log((1 - p) / len(values)) - 1, math.inf, 0
    probe = float(bound(values, NUCLEUS))
    for _ in range(PROBES):
        above = values >= probe
        mass = float(np.dot(above, chance))  # selects and adds in a single pass
        if mass - p > CLOSE:
            low = max(low, probe)
        elif p - mass > CLOSE:
            high, beyond = probe, np.count_nonzero(above)
        else:
            break
        if np.count_nonzero(values >= low) - beyond <= FEW:
            break
        probe = (low + min(high, top)) / 2
    return low, high


def last_of(values: Any, chance: Any, p: float, low: float, high: float) -> tuple[Any, int]:
    """The same once the least logit is known to be in ``[low, high)``."""
    above = chance[np.flatnonzero(values >= high)] if high < math.inf else chance[:0]
    near = np.sort(values[np.flatnonzero((values >= low) & (values < high))])[::-1]
    own = np.exp(near.astype(np.float64) - values.max()) * chance.max()
    count = max(1, int(np.count_nonzero(above.sum(dtype=np.float64) + np.cumsum(own) - own < p)))
    return near[count - 1], len(above) + count
