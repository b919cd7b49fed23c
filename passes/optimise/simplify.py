"""What is known while compiling, whatever logits are: constants that make a transform do nothing, or another; an only site."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.ops.logits import COLDEST, greedy, repetition_penalty, scale, top_k, top_p
from penstock.ir.ops.rows import at, widened
from penstock.ir.ops.threshold import epsilon_cut, min_p
from penstock.passes.optimise.rule import Equation, Logits, RulePass, rule


@rule
def scaled_by_one(x: Logits) -> Equation:
    """Temperature 1 changes nothing."""
    return scale(x, 1.0), x


@rule(literals={"t": (0, 0.0, 1e-31)}, when=lambda x, t: None if t < COLDEST else f"the temperature is {t}")
def scaled_by_nothing(x: Logits, t: float) -> Equation:
    """Temperature 0 by its name, where t is 0 or below what can be divided by."""
    return scale(x, t), greedy(x)


def all_are_kept(x: Any, k: int) -> str | None:
    """Why a top-k is none."""
    size = x.meta["example"].shape[-1]
    return None if k >= size else f"it keeps {k} of {size} tokens"


@rule(literals={"k": (11, 40)}, when=all_are_kept)
def all_of_top_k(x: Logits, k: int) -> Equation:
    """Where there are no more than k tokens."""
    return top_k(x, k), x


@rule
def all_of_top_p(x: Logits) -> Equation:
    """All of the probability."""
    return top_p(x, 1.0), x


@rule
def no_min_p(x: Logits) -> Equation:
    """Nothing is less likely than never."""
    return min_p(x, 0.0), x


@rule
def no_epsilon_cut(x: Logits) -> Equation:
    """Nothing is less likely than never."""
    return epsilon_cut(x, 0.0), x


@rule
def no_repetition_penalty(x: Logits, seen: Bool[Tensor, "*B V"]) -> Equation:
    """A factor of 1."""
    return repetition_penalty(x, seen, 1.0), x


@rule(inputs={"site": lambda draws: torch.tensor([0, -1, 0])}, follows=True)
def the_only_site(x: Float[Tensor, "B V"], site: Int[Tensor, "B"]) -> Equation:
    """Where nothing was drafted a path ends where it begins, and nobody copies what is known of the root."""
    return at(widened(x, 1), site), x


RULES = (
    scaled_by_one,
    scaled_by_nothing,
    all_of_top_k,
    all_of_top_p,
    no_min_p,
    no_epsilon_cut,
    no_repetition_penalty,
    the_only_site,
)
SIMPLIFY = RulePass("simplify", RULES)
