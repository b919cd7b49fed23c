"""A race taken apart: an address word, which the host knows before, and integer arithmetic, which any device does.

``race(weights, key, stage, purpose, at) = supported(earliest(weights, words(key, stage, purpose, at)))``, on the same bits of
noise up to the last place of a logarithm. Where a step's draws stay on the device, ``something(of_live(..))`` stands for
``supported``, and `vouched` tells of all of them when the host reads the step.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from penstock.ir.errors import PenstockError
from penstock.ir.noise import FIRST, HALF, LEAST, SCALE, SECOND, TOKEN, addresses
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
def words(key: Int[Tensor, "B"], stage: str, purpose: str, at: Sequence[Any]) -> Int[Tensor, "B"]:
    """The address of one draw a row, as a signed word."""
    return torch.from_numpy(addresses(key, stage, purpose, at).astype(np.int64))


@op("host")
def select_words(key: Int[Tensor, "B"], stage: str, length: Int[Tensor, "B"], count: int) -> Int[Tensor, "B M"]:
    """The addresses of a row's next ``count`` selections, by position."""
    return torch.stack([words.meaning(key, stage, "select", (length + d,)) for d in range(count)], 1)


@op("host")
def accept_words(key: Int[Tensor, "B"], stage: str, steps: Int[Tensor, "B"], depth: int, width: int) -> Int[Tensor, "B M"]:
    """The addresses of all coins of a walk that goes so deep, past so many children a site: depth by depth, rank by rank."""
    places = product(range(depth), range(width))
    return torch.stack([words.meaning(key, stage, "accept", (steps, d, r)) for d, r in places], 1)


def negative_exponentials(address: Int[Tensor, "*B"], size: int) -> Float[Tensor, "*B V"]:
    """`noise.negated` of address words: float32, by token id below ``size``."""
    return torch.log1p(negative_uniforms(address, torch.arange(1, size + 1, dtype=torch.int32, device=address.device)))


def negative_uniforms(address: Int[Tensor, "*B"], ordinals: Int[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
    """What these are made of, of tokens ``ordinals - 1``: uniform in (-1, 0), never as little as -1."""
    low, high = (word.to(torch.int32)[..., None] for word in (address, address >> 32))
    x = ordinals.to(torch.int32) * signed(TOKEN, 32) ^ low
    x = (x ^ shifted(x, 15, 32)) * signed(FIRST, 32) ^ high
    x = (x ^ shifted(x, 13, 32)) * signed(SECOND, 32)
    x = shifted(x ^ shifted(x, 16, 32), 1, 32)
    return ((x.float() + float(HALF)) * float(SCALE)).clamp(min=float(LEAST))


BLOCK = 128
"""Entries that are compared with each other first; many processors find the largest of a few far sooner than where it is."""


def first_largest(values: Float[Tensor, "*B V"]) -> Int[Tensor, "*B"]:
    """``values.argmax(-1)``: the lowest place of those that tie, and of what is no number where there is such; by blocks."""
    whole = values.shape[-1] // BLOCK * BLOCK
    if whole < 4 * BLOCK:
        return values.argmax(-1)
    blocks = values[..., :whole].reshape(*values.shape[:-1], -1, BLOCK)
    best = blocks.amax(-1).argmax(-1, keepdim=True)
    place = best * BLOCK + blocks.gather(-2, best[..., None].expand(*best.shape, BLOCK))[..., 0, :].argmax(-1, keepdim=True)
    if whole < values.shape[-1]:
        place = torch.cat([place, whole + values[..., whole:].argmax(-1, keepdim=True)], -1)
    return place.gather(-1, values.gather(-1, place).argmax(-1, keepdim=True)).squeeze(-1)


@op()
def earliest(weights: Float[Tensor, "B V"], address: Int[Tensor, "B"]) -> Int[Tensor, "B"]:
    """The token whose exponential at this address, over its weight, is least; `NOTHING` where it has no weight."""
    noise = negative_exponentials(address, weights.shape[-1]).to(weights)
    token = first_largest(noise / weights)
    return torch.where(weights.gather(-1, token[:, None])[:, 0] > 0, token, NOTHING)


@op("host", takes_live=True)
def supported(token: Int[Tensor, "B *M"], stage: str, *, live: Bool[Tensor, "B"], source: str = "") -> Int[Tensor, "B *M"]:
    """What live rows drew, 0 in others. Raises PenstockError for a live row that drew `NOTHING`."""
    each = live.view(-1, *[1] * (token.dim() - 1))
    for row in (each & (token == NOTHING)).nonzero()[:, 0].tolist():
        raise unsupported(stage, row, source)
    return torch.where(each, token, 0)


@op()
def of_live(token: Int[Tensor, "B"], live: Bool[Tensor, "B"]) -> Int[Tensor, "B"]:
    """What live rows drew, `NOTHING` among it; 0 in others."""
    return torch.where(live, token, 0)


@op()
def something(token: Int[Tensor, "B *M"]) -> Int[Tensor, "B *M"]:
    """A token that can be looked up, whether or not anything was drawn: the host is told later, and then nobody uses it."""
    return token.clamp(min=0)


@op("host")
def vouched(token: Int[Tensor, "B M"], drawn: Int[Tensor, "B N"], stages: tuple[str, ...]) -> Int[Tensor, "B M"]:
    """``token``, which later draws led to; ``drawn`` by the ``stages`` before. Raises PenstockError where one is `NOTHING`."""
    for row, column in (drawn == NOTHING).nonzero().tolist():
        raise unsupported(stages[column], row)
    return token


@op("host")
def fetched(value: Shaped[Tensor, "B *M"]) -> Shaped[Tensor, "B *M"]:
    """A few numbers that a device holds, as the host has them once it has read them."""
    return value


def unsupported(stage: str, row: int, source: str = "") -> PenstockError:
    """The error of a row that nothing can be drawn for."""
    what = f"stage {stage}: row {row} has nothing to draw from: its logits are no numbers, or all forbidden"
    fix = "check its model's weights and precision, and the masks and transforms that it goes through"
    return PenstockError(what, where=source or None, fix=fix)
