"""A race taken apart: a stream a request, which the host knows, and integer arithmetic, which any device does.

``race(weights, key, stage, purpose, at) = supported(earliest(weights, folded(streams(key, stage, purpose), at)))``, the same bits
of noise up to the last place of a logarithm.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.errors import PenstockError
from penstock.ir.noise import FIRST, FOLD, HALF, LEAST, SCALE, SECOND, SPREAD, STIR, TOKEN, stream
from penstock.ir.op import op

NOTHING = -1
"""What is drawn where nothing can be."""


def signed(word: int, bits: int) -> int:
    """The two's complement number of these bits: torch has no unsigned arithmetic, and needs none, for it wraps."""
    return word - (1 << bits) if word >> bits - 1 & 1 else word


def shifted(x: Tensor, count: int, bits: int) -> Tensor:
    """``x >> count`` as of an unsigned number."""
    return (x >> count) & ((1 << bits - count) - 1)


@op("host")
def streams(key: Int[Tensor, "B"], stage: str, purpose: str) -> Int[Tensor, "B"]:
    """The stream of every request for draws of one stage and purpose, as signed words."""
    return torch.from_numpy(np.array([stream(k, stage, purpose) for k in key.tolist()], np.uint64).astype(np.int64))


@op()
def folded(word: Int[Tensor, "B"], at: Sequence[Any]) -> Int[Tensor, "B"]:
    """The address words that streams and coordinates make: `noise.fold`, coordinate by coordinate."""
    for coordinate in at:
        word = word * 31 + coordinate + signed(FOLD, 64)
        word = (word ^ shifted(word, 30, 64)) * signed(SPREAD, 64)
        word = (word ^ shifted(word, 27, 64)) * signed(STIR, 64)
        word = word ^ shifted(word, 31, 64)
    return word


def negative_exponentials(words: Int[Tensor, "B"], size: int) -> Float[Tensor, "B V"]:
    """`noise.negated` of address words: float32, by token id below ``size``."""
    low, high = (w.to(torch.int32)[:, None] for w in (words, words >> 32))
    x = torch.arange(1, size + 1, dtype=torch.int32, device=words.device) * signed(TOKEN, 32) ^ low
    x = (x ^ shifted(x, 15, 32)) * signed(FIRST, 32) ^ high
    x = (x ^ shifted(x, 13, 32)) * signed(SECOND, 32)
    x = shifted(x ^ shifted(x, 16, 32), 1, 32)
    return torch.log1p(((x.float() + float(HALF)) * float(SCALE)).clamp(min=float(LEAST)))


@op()
def earliest(weights: Float[Tensor, "B V"], words: Int[Tensor, "B"]) -> Int[Tensor, "B"]:
    """The token whose exponential at this address, over its weight, is least; `NOTHING` where it has no weight."""
    noise = negative_exponentials(words, weights.shape[-1]).to(weights)
    token = (-noise / weights).argmin(-1)
    return torch.where(weights.gather(-1, token[:, None])[:, 0] > 0, token, NOTHING)


@op("host", takes_live=True)
def supported(token: Int[Tensor, "B *M"], stage: str, *, live: Bool[Tensor, "B"], source: str = "") -> Int[Tensor, "B *M"]:
    """What live rows drew, 0 in others. Raises PenstockError for a live row that drew `NOTHING`."""
    each = live.view(-1, *[1] * (token.dim() - 1))
    for row in (each & (token == NOTHING)).nonzero()[:, 0].tolist():
        raise unsupported(stage, row, source)
    return torch.where(each, token, 0)


def unsupported(stage: str, row: int, source: str = "") -> PenstockError:
    """The error of a row that nothing can be drawn for."""
    what = f"stage {stage}: row {row} has nothing to draw from: its logits are no numbers, or all forbidden"
    fix = "check its model's weights and precision, and the masks and transforms that it goes through"
    return PenstockError(what, where=source or None, fix=fix)
