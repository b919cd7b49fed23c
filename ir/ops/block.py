"""Block verification's plan for one path: how likely each prefix of the draft is to stay, told from the whole block at once.

Notation of the paper (Sun et al., arXiv 2403.10444): ``w`` is its p_i, ``h`` its h_i; ``t`` target, ``d`` draft.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.accept import TINY


@op()
def leads_on(
    valid: Bool[Tensor, "B N"],
    length: Int[Tensor, "B"],
    limit: Int[Tensor, "B"],
    last: Bool[Tensor, "B S"] | None,
    closed: Bool[Tensor, "B S"] | None,
) -> Bool[Tensor, "B S"]:
    """By site of one path, node i below site i: whether the walk, once it has come to the node before, tests a child there."""
    n = valid.shape[1]
    on = valid & (torch.arange(n) + length[:, None] < limit[:, None])
    if last is not None:
        on[:, 1:] &= ~last[:, : n - 1]
    if closed is not None:  # not the root: what closed there closed the step before
        on[:, 1:] &= ~closed[:, 1:n]
    return torch.cat([on, torch.zeros_like(on[:, :1])], 1)


@op()
def block_plan(
    t: Float[Tensor, "B S V"], d: Float[Tensor, "B N V"], token: Int[Tensor, "B N"], on: Bool[Tensor, "B S"]
) -> tuple[Float[Tensor, "B S"], Float[Tensor, "B S"]]:
    """``(w, chance)`` by site of one path: the weight of the prefix that ends there, and the coin for its child.

    ``w = min(1, w_before t(x) / d(x))``. In the paper a block stays up to the last prefix whose own coin comes up, of chance
    ``h = owed / (owed + 1 - w)`` with ``owed = sum max(w t - d, 0)``, or w where nothing follows. Root to leaf that is one coin a
    site: the chance that some own coin from the child on comes up, given that one from here on does.
    """
    rows, n = token.shape
    w, chance = [t.new_ones(rows)], [t.new_zeros(rows)]
    for i in range(n):
        tx, dx = (p[:, i].gather(1, token[:, i : i + 1])[:, 0] for p in (t, d))
        w.append(torch.where(tx > 0, (w[-1] * tx / dx).clamp(max=1), 0.0))
    stays = w[n]
    for i in reversed(range(n)):
        owed = (w[i][:, None] * t[:, i] - d[:, i]).clamp(min=0).sum(-1)
        own = torch.where(w[i] < 1, owed / (owed + 1 - w[i]), 1.0)
        here = torch.where(on[:, i], own + (1 - own) * stays, w[i])
        chance.append(torch.where(on[:, i] & (here > 0), (stays / here).clamp(max=1), 0.0))
        stays = here
    return torch.stack(w, 1), torch.stack(chance[::-1], 1)


@op()
def owed_under(
    t: Float[Tensor, "B V"], d: Float[Tensor, "B V"], w: Float[Tensor, "B"], count: Int[Tensor, "B"]
) -> Float[Tensor, "B V"]:
    """``max(w t - d, 0)``, what a prefix of weight w still owes where its child is refused; t itself where it has none."""
    owed = (w[:, None] * t - d).clamp(min=0)
    return torch.where((count > 0)[:, None] & (owed.sum(-1, keepdim=True) > TINY), owed, t)
