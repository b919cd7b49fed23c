"""The one primitive random op, `race`, and draws in order built on the same noise."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.noise import addresses, exponentials, of_tokens, words_of
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


def race_among_outcomes(weights: Float[Tensor, "W K"], ids: Int[Tensor, "W K"], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    """`race_outcomes` of candidates, whose ids are the tokens."""
    row, place, p = race_outcomes(weights)
    return row, ids[row, place], p


@op("random", takes_live=True, outcomes=race_among_outcomes)
def race_among(
    weights: Float[Tensor, "B K"],
    ids: Int[Tensor, "B K"],
    key: Int[Tensor, "B"],
    stage: str,
    purpose: str,
    at: Sequence[Any],
    *,
    live: Bool[Tensor, "B"],
) -> Int[Tensor, "B"]:
    """The `race` of candidates alone; noise is each token's own, so it has the winner of the race over the whole row."""
    noise = of_tokens(addresses(key, stage, purpose, at), words_of(ids.numpy()))
    return ids.gather(-1, (noise.to(weights) / weights).argmin(-1, keepdim=True))[:, 0]


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


def guess_among_outcomes(weights: Float[Tensor, "W K"], ids: Int[Tensor, "W K"], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    """`guess_outcomes` of candidates."""
    return race_among_outcomes((weights > 0).to(weights), ids)


@op("random", takes_live=True, outcomes=guess_among_outcomes, reads=False)
def foresee_among(
    weights: Float[Tensor, "B K"],
    ids: Int[Tensor, "B K"],
    key: Int[Tensor, "B"],
    stage: str,
    purpose: str,
    at: Sequence[Any],
    *,
    live: Bool[Tensor, "B"],
) -> Int[Tensor, "B"]:
    """`foresee` of candidates alone."""
    return race_among.meaning(weights, ids, key, stage, purpose, at, live=live)  # type: ignore[no-any-return]


@op()
def coin_weights(p: Float[Tensor, "B"]) -> Float[Tensor, "B 2"]:
    """``[1 - p, p]``: a coin is a race over two outcomes."""
    return torch.stack([1 - p, p], -1)


@op()
def largest(logits: Float[Tensor, "B T V"], tip: int) -> Int[Tensor, "B"]:
    """The lowest id with the largest logit at one tip: what every race over a greedy distribution returns."""
    return logits[:, tip].argmax(-1)
