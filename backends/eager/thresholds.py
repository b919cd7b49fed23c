"""The tokens that a threshold on a site's distribution leaves, without a sort of the vocabulary.

A nucleus is looked for among the tokens above a bound that at least `NUCLEUS` of them are above, which is all that a peaked
distribution needs; else by bisection on the logit, until what is undecided is few.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.blocks import Blocks
from penstock.backends.eager.few import largest
from penstock.backends.eager.places import array
from penstock.ir.ops.logits import precise

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


def nucleus(logits: Tensor, p: float | Tensor) -> Tensor:
    """The ids ``[k]`` that `top_p` leaves of logits ``[v]``, ascending; k depends on the logits."""
    p, wide = float(p), precise(logits)
    values, top = wide.numpy(), float(wide.amax())
    if p >= 1 or not math.isfinite(top):
        return supported(wide)
    if len(values) <= FEW:
        return torch.from_numpy(reaching(values, p))
    chance = wide.softmax(-1).numpy()
    blocks = Blocks.of(values[None], NUCLEUS)
    bounds = blocks.bounds(NUCLEUS)
    near = blocks.not_below(bounds)
    mass = chance[near].sum(dtype=np.float64)
    if mass - p > CLOSE:
        return torch.from_numpy(near[reaching(values[near], p, float(chance[near].max()))])
    first = (float(bounds[0]), len(near)) if p - mass > CLOSE else (math.inf, 0)
    least, count = last_of(values, chance, p, *undecided(values, chance, p, top, *first))
    kept = values > least
    kept[np.flatnonzero(values == least)[: count - np.count_nonzero(kept)]] = True
    return torch.from_numpy(np.flatnonzero(kept))


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


def reaching(values: Any, p: float, likeliest: float | None = None) -> Any:
    """The places of the fewest of ``values [c]`` that reach p, of which the largest has this chance; by default no others are."""
    ordered = np.sort(values)[::-1]
    mass = np.cumsum(np.exp(ordered - ordered[0]), dtype=np.float64)
    total = mass[-1] if likeliest is None else 1 / likeliest
    return np.flatnonzero(largest(values, 1 + int(np.searchsorted(mass[:-1], p * total))))


def undecided(values: Any, chance: Any, p: float, top: float, high: float, beyond: int) -> tuple[float, float]:
    """``(low, high)``: the least logit of the nucleus is in ``[low, high)``; so many are not below the first ``high``.

    All logits below the first ``low`` together weigh less than ``1 - p``: each weighs less than ``(1 - p) / v``.
    """
    low, down_to = top + math.log((1 - p) / len(values) / float(chance.max())) - SLACK, len(values)
    probe = (low + min(high, top)) / 2
    for _ in range(PROBES):
        above = values >= probe
        mass = float(np.dot(above, chance))  # selects and adds in a single pass
        if mass - p > CLOSE:
            low, down_to = probe, np.count_nonzero(above)
        elif p - mass > CLOSE:
            high, beyond = probe, np.count_nonzero(above)
        else:
            break
        if down_to - beyond <= FEW:
            break
        probe = (low + min(high, top)) / 2
    return low, high


def last_of(values: Any, chance: Any, p: float, low: float, high: float) -> tuple[Any, int]:
    """The least logit of the nucleus, which is in ``[low, high)``, and how many tokens it has."""
    above = chance[np.flatnonzero(values >= high)] if high < math.inf else chance[:0]
    near = np.sort(values[np.flatnonzero((values >= low) & (values < high))])[::-1]
    own = np.exp(near.astype(np.float64) - values.max()) * chance.max()
    count = max(1, int(np.count_nonzero(above.sum(dtype=np.float64) + np.cumsum(own) - own < p)))
    return near[count - 1], len(above) + count
