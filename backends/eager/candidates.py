"""The k largest logits, without a sort of the vocabulary.

The k-th largest of the maxima of blocks bounds the k-th largest logit from below, so all that are not below it hold the k largest
and few more; ties are settled among these, exactly. Rows of a batch are looked through together, each by its own bound.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.backends.eager.blocks import Blocks
from penstock.backends.eager.few import largest, penalised, rounded
from penstock.backends.eager.places import array
from penstock.ir.ops.logits import repetition_penalty, scale

ROUNDINGS = 4
"""A quotient is off by less than so many units in the last place."""
SPARE = 1.5
"""So many times k tokens are looked for first where some of them may have been seen."""


def candidates(logits: Tensor, k: int | Tensor) -> Tensor:
    return shaped_candidates(logits, None, 1.0, 1.0, int(k))[1]


def among(values: Tensor, ids: Tensor) -> Tensor:
    return values.index_select(0, ids) if values.dim() == 1 else values.gather(-1, ids)  # a quarter of the time


def shaped_candidates(
    logits: Tensor, seen: Tensor | None, alpha: float, temperature: float, k: int
) -> tuple[Tensor, Tensor]:
    """Only those that may be among them are shaped."""
    size = logits.shape[-1]
    if k >= size:
        shaped = logits if seen is None else repetition_penalty.meaning(logits, seen, alpha)
        return scale.meaning(shaped, temperature), torch.arange(size).expand(logits.shape)
    values, said = array(logits).reshape(-1, size), None if seen is None else seen.numpy().reshape(-1, size)
    with np.errstate(over="ignore"):  # what is too large a number is infinite, as torch has it
        few, places = shortlist(values, said, alpha, temperature, k, logits.dtype)
    kept = kept_by_row(few, places, size, len(values), k)
    found = few[kept], places[kept] % size if len(values) > 1 else places[kept]
    few, ids = (torch.from_numpy(each).view(*logits.shape[:-1], k) for each in found)
    return few.to(logits.dtype), ids


def shortlist(values: Any, said: Any, alpha: float, temperature: float, k: int, dtype: torch.dtype) -> tuple[Any, Any]:
    """Whoever may be among the k largest of a row of ``values [r,v]`` once it is shaped: shaped values ``[c]``, and their places.

    A place is ``row * v + token``; they ascend.
    """
    share = ROUNDINGS * torch.finfo(dtype).eps
    if said is None:
        blocks = Blocks.of(values, k)
        places = blocks.not_below(lowered(blocks.bounds(k), share))
        few = values.reshape(-1)[places]
    else:
        places, seen = unless_seen(values, said, alpha, k, share)
        few = rounded(penalised(values.reshape(-1)[places], seen, alpha), dtype)
    return few if temperature == 1 else rounded(few / temperature, dtype), places


def unless_seen(values: Any, said: Any, alpha: float, k: int, share: float) -> tuple[Any, Any]:
    """The places of whoever may be among the k largest of a row once it is penalised; and which of these were seen.

    Where k unseen logits are not below a bound, whoever is among the largest when all is penalised is not below it either, or was
    seen and raised, which takes an ``alpha`` below 1.
    """
    (rows, size), among = values.shape, int(SPARE * k)
    blocks = Blocks.of(values, among)
    while True:
        bounds = blocks.bounds(among)
        places = blocks.not_below(lowered(bounds, share))
        seen, row = said.reshape(-1)[places], places // size
        fresh = row[~(seen | (values.reshape(-1)[places] < bounds[row]))]
        if among > blocks.maxima.shape[1] or np.bincount(fresh, minlength=rows).min() >= k:
            break
        among *= 2
    if alpha < 1:
        places = np.union1d(places, np.flatnonzero(said))
        seen = said.reshape(-1)[places]
    return places, seen


def lowered(bounds: Any, share: float) -> Any:
    """A quotient may round to another's, so what is looked for is lower than a bound by what that can be, a share of it."""
    return np.minimum(bounds * (1 - share), bounds * (1 + share))


def kept_by_row(few: Any, places: Any, size: int, rows: int, k: int) -> Any:
    """Which of values ``[c]`` at places ``row * v + token``, ascending, are the k largest of their row."""
    if rows == 1:
        return largest(few, k)
    row = places // size
    column = np.arange(len(places)) - np.searchsorted(row, np.arange(rows))[row]
    side_by_side = np.full((rows, column.max() + 1), -np.inf, few.dtype)
    side_by_side[row, column] = few
    return largest(side_by_side, k)[row, column]
