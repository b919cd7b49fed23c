"""The one primitive random op, `race`, and draws in order built on the same noise."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.noise import addresses, exponentials
from penstock.ir.op import op


def race_outcomes(weights: Float[Tensor, "W V"], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    """``(row, token, weight)`` of everything that can win: weights are normalised within a row."""
    p = weights / weights.sum(-1, keepdim=True)
    row, token = (p > 0).nonzero(as_tuple=True)
    return row, token, p[row, token]


@op("random", takes_live=True, outcomes=race_outcomes)
def race(
    weights: Float[Tensor, "B V"],
    key: Int[Tensor, "B"],
    stage: str,
    purpose: str,
    at: Sequence[Any],
    *,
    live: Bool[Tensor, "B"],
) -> Int[Tensor, "B"]:
    """The token whose exponential over its weight is least: a draw in proportion to the weights, which need not sum to one."""
    noise = exponentials(addresses(key, stage, purpose, at), weights.shape[-1])
    return (noise.to(weights) / weights).argmin(-1)


def guess_outcomes(weights: Float[Tensor, "W V"], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Whatever may be drawn, all the same: what is right for every guess is right however guesses and draws are coupled."""
    return race_outcomes((weights > 0).to(weights))


@op("random", takes_live=True, outcomes=guess_outcomes, reads=False)
def foresee(
    weights: Float[Tensor, "B V"],
    key: Int[Tensor, "B"],
    stage: str,
    purpose: str,
    at: Sequence[Any],
    *,
    live: Bool[Tensor, "B"],
) -> Int[Tensor, "B"]:
    """The winner that a race yet to come at this address would have if these were its weights: a guess at another's draw."""
    return race.meaning(weights, key, stage, purpose, at, live=live)  # type: ignore[no-any-return]


@op()
def coin_weights(p: Float[Tensor, "B"]) -> Float[Tensor, "B 2"]:
    """``[1 - p, p]``: a coin is a race over two outcomes."""
    return torch.stack([1 - p, p], -1)


@op()
def largest(logits: Float[Tensor, "B T V"], tip: int) -> Int[Tensor, "B"]:
    """The lowest id with the largest logit at one tip: what every race over a greedy distribution returns."""
    return logits[:, tip].argmax(-1)
