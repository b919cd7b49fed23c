"""The mathematics of acceptance: what turns a target, a draft's law and coins into exactly the target.

Notation of methods' cards: ``t`` target, ``d`` draft, both ``[b,v]``.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op

TINY = 1e-13


@op()
def kseq_plan(
    t: Float[Tensor, "B V"], d: Float[Tensor, "B V"], count: Int[Tensor, "B"]
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B V"]]:
    """``(rho, residual)`` of K-SEQ for ``count`` iid children (SpecTr, arXiv 2310.15141): the deflation, and what is still owed.

    ``beta(rho) = sum min(d, t/rho)``; rho solves ``1 - (1 - beta)^k = rho beta`` from above, so the residual is never negative.
    """
    return deflated(t, d, count, HALVINGS if bool((count > 1).any()) else 0)


HALVINGS = 60
"""Of rho's interval: below what float64 can tell apart."""


def deflated(t: Tensor, d: Tensor, count: Tensor, halvings: int) -> tuple[Tensor, Tensor]:
    """`kseq_plan` by so many halvings; where no row has two children, rho is 1 without any."""
    k = count.clamp(min=1).to(t)
    low, high = torch.ones_like(k), k.clone()

    def beta(rho: Tensor) -> Tensor:
        return torch.minimum(d, t / rho[:, None]).sum(-1).clamp(max=1)

    def accepted(beta: Tensor) -> Tensor:  # 1 - (1 - beta)^k, also where beta is too small for that
        return -torch.expm1(k * torch.log1p(-beta))

    for _ in range(halvings):
        middle = (low + high) / 2
        mass = beta(middle)
        short = accepted(mass) > middle * mass
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    mass = beta(high)
    share = accepted(mass) / mass.clamp(min=torch.finfo(t.dtype).tiny)
    owed = (t - torch.minimum(d, t / high[:, None]) * share[:, None]).clamp(min=0)
    owed = torch.where((count > 0)[:, None] & (owed.sum(-1, keepdim=True) > TINY), owed, t)
    return high, owed


@op()
def deflated_ratio(
    t: Float[Tensor, "B V"], d: Float[Tensor, "B V"], rho: float | Float[Tensor, "B"], token: Int[Tensor, "B"]
) -> Float[Tensor, "B"]:
    """``min(1, t(x) / (rho d(x)))``: the probability of accepting x; 0 for an impossible token."""
    tx, dx = t.gather(1, token[:, None])[:, 0], d.gather(1, token[:, None])[:, 0]
    return torch.where(tx > 0, (tx / (rho * dx)).clamp(max=1), 0.0)


@op()
def owed_after(t: Float[Tensor, "B V"], d: Float[Tensor, "B V"], where: Bool[Tensor, "B"]) -> Float[Tensor, "B V"]:
    """Where a child was refused: ``max(t - d, 0)`` renormalised; t itself where nothing is owed."""
    owed = (t - d).clamp(min=0)
    total = owed.sum(-1, keepdim=True)
    return torch.where(where[:, None] & (total > TINY), owed / total.clamp(min=TINY), t)


@op()
def without(d: Float[Tensor, "B V"], token: Int[Tensor, "B"], where: Bool[Tensor, "B"]) -> Float[Tensor, "B V"]:
    """Where a child was refused: ``d`` with that token taken out, renormalised; unchanged when it held all the mass."""
    left = d.scatter(1, token[:, None], 0.0)
    total = left.sum(-1, keepdim=True)
    return torch.where(where[:, None] & (total > 0), left / total.clamp(min=torch.finfo(d.dtype).tiny), d)


@op()
def never(token: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
    """The probability 0, for every row."""
    return torch.zeros(len(token))


@op()
def of_row(which: Int[Tensor, "B"], *values: Float[Tensor, "B *S"]) -> Float[Tensor, "B *S"]:
    """``values[which[b]][b]``."""
    kind = max((value.dtype for value in values), key=lambda dtype: dtype.itemsize)
    return torch.stack([value.to(kind) for value in values])[which, torch.arange(len(which))]


@op()
def mode(t: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
    """``t`` at its likeliest token, the lowest id on ties, and 0 elsewhere; a row that is no number stays none."""
    best = t.argmax(-1, keepdim=True)
    return torch.zeros_like(t).scatter(-1, best, t.gather(-1, best))


@op()
def typical_floor(t: Float[Tensor, "B V"], epsilon: float, delta: float) -> Float[Tensor, "B"]:
    """``min(epsilon, delta exp(-H(t)))``, H in nats: what a token's probability must exceed to pass for typical."""
    entropy = torch.special.entr(t).sum(-1)
    return (delta * torch.exp(-entropy)).clamp(max=epsilon)


@op()
def certain_beyond(t: Float[Tensor, "B V"], floor: Float[Tensor, "B"], token: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
    """1 where ``t(x) > floor``, else 0."""
    return (t.gather(1, token[:, None])[:, 0] > floor).to(t)
