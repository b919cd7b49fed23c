"""Truncations by a threshold: tokens on the wrong side of it go, ties stay together, and some token always stays."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.logits import entropy, over, precise


def without(logits: Float[Tensor, "*B V"], gone: Bool[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
    """-inf where gone; comparisons that say so are false of what is no number, which stays to be seen."""
    return logits.masked_fill(gone, -torch.inf)


@op()
def min_p(logits: Float[Tensor, "*B V"], p: float | Float[Tensor, "B"]) -> Float[Tensor, "*B V"]:
    """Tokens at least p times as likely as the likeliest stay (Nguyen et al., arXiv 2407.01082)."""
    chance = precise(logits).softmax(-1)
    return without(logits, chance < over(p, chance) * chance.amax(-1, keepdim=True))


@op()
def epsilon_cut(logits: Float[Tensor, "*B V"], epsilon: float | Float[Tensor, "B"]) -> Float[Tensor, "*B V"]:
    """Tokens of probability epsilon or more stay (Hewitt et al., arXiv 2210.15191, section 4.1)."""
    chance = precise(logits).softmax(-1)
    return without(logits, (chance < over(epsilon, chance)) & (logits < logits.amax(-1, keepdim=True)))


@op()
def eta_cut(logits: Float[Tensor, "*B V"], epsilon: float | Float[Tensor, "B"]) -> Float[Tensor, "*B V"]:
    """Tokens of probability ``eta = min(epsilon, sqrt(epsilon) exp(-H))`` or more stay, H the entropy (arXiv 2210.15191).

    The likeliest does, because its probability is at least ``exp(-H)``.
    """
    log_p = precise(logits).log_softmax(-1)
    epsilon = over(epsilon, log_p)
    eta = torch.minimum(epsilon, epsilon.sqrt() * (-entropy(log_p)).exp()[..., None])
    return without(logits, log_p.exp() < eta)


@op()
def typical_p(logits: Float[Tensor, "*B V"], p: float | Float[Tensor, "B"]) -> Float[Tensor, "*B V"]:
    """Tokens whose surprise ``-log p(x)`` is nearest the entropy stay, as few as reach p (Meister et al., arXiv 2202.00666).

    As many more as are exactly as near as the last of them; all where p is 1.
    """
    log_p = precise(logits).log_softmax(-1)
    apart = (-log_p - entropy(log_p)[..., None]).abs()
    nearest, order = apart.sort(dim=-1, stable=True)
    reached = log_p.exp().gather(-1, order).cumsum(-1)
    p = over(p, reached)
    last = (reached < p).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    return without(logits, (apart > nearest.gather(-1, last)) & (p < 1))
