"""The winner of a race over likely tokens, by bounds: few tokens need an exponential or a logarithm.

Whoever has the least ``E / softmax(x)`` has the largest ``x - log E``. An exponential ``E = -log1p(-u)`` is not below its u, and
the bits of a float, read as an integer, are a straight line under its logarithm; so one pass of integer arithmetic bounds every
token from above. The race is run among the tokens of the few blocks with the highest bounds, and whoever wins there by more than
any bound that is left has won.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from penstock.ir.ops.exposed import BLOCK, earliest, negative_uniforms
from penstock.ir.ops.logits import precise, softmax

UNSURE = -2
"""What is told where no bound settles a race, and where what is no number takes part."""
HELD = 4
"""Blocks that a race is run in: of 6,000 races on logits flat to peaked, three were too few for 5, and four for none."""
NARROW = 4 * HELD * BLOCK
"""In rows of fewer tokens all of them race."""
OCTAVE, ONE = math.log(2), 127 << 23
"""A factor of two in logarithms; the bits of 1.0."""
SLACK, SHARE = 1e-3, 1e-6
"""More than bounds and a winner are off by, roundings of float32 added up: absolutely, and as a share of a logit."""


def foremost(logits: Float[Tensor, "B V"], address: Int[Tensor, "B"]) -> Int[Tensor, "B"]:
    """``earliest(softmax(logits), address)``, or `UNSURE`."""
    if logits.shape[-1] < NARROW:
        return earliest.meaning(softmax.meaning(logits), address)  # type: ignore[no-any-return]
    bounds, blocks = highest(logits, address).topk(HELD + 1)
    ids = (blocks[:, :HELD, None] * BLOCK + torch.arange(BLOCK, device=logits.device)).flatten(1).clamp(max=logits.shape[-1] - 1)
    x = precise(logits.gather(-1, ids))
    noise = torch.log1p(negative_uniforms(address, ids + 1)).to(x)
    place = (noise / (x - x.amax(-1, keepdim=True)).exp()).argmax(-1, keepdim=True)
    reached = (x.gather(-1, place) - torch.log(-noise.gather(-1, place)))[:, 0]
    sure = bounds[:, HELD] + SLACK + SHARE * reached.abs() < reached  # not so where either is no number
    return torch.where(sure, ids.gather(-1, place)[:, 0], UNSURE)


def highest(logits: Float[Tensor, "B V"], address: Int[Tensor, "B"]) -> Float[Tensor, "B N"]:
    """What no ``x - log E`` of a block's tokens exceeds but by roundings; what is left over after whole blocks is one."""
    size = logits.shape[-1]
    whole = size // BLOCK * BLOCK
    uniforms = -negative_uniforms(address, torch.arange(1, size + 1, device=logits.device))
    bounds = logits.float() - (uniforms.view(torch.int32) - ONE).float() * (OCTAVE / (1 << 23))
    most = bounds[:, :whole].reshape(len(bounds), -1, BLOCK).amax(-1)
    return most if whole == size else torch.cat([most, bounds[:, whole:].amax(-1, keepdim=True)], -1)
