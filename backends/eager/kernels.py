"""Which ops and regions the eager backend replaces on the host; everything else runs its meaning."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from penstock.backends.eager import forward as host
from penstock.backends.eager.generate import RegionKernel
from penstock.backends.eager.walk import largest as blocked_largest
from penstock.backends.eager.walk import walk
from penstock.ir.op import Op
from penstock.ir.ops.forward import forward, keep
from penstock.ir.ops.random import largest
from penstock.ir.ops.sequence import append
from penstock.ir.ops.tree import sites


def largest_at(logits: Tensor, tip: int) -> Tensor:
    """`largest` by block maxima."""
    return blocked_largest(logits[:, tip])


def sites_of_lists(parent: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
    """`tree.sites` by dictionaries: a draft is a few dozen nodes."""
    site, rank = [], []
    for parents, tokens in zip(parent.tolist(), token.tolist(), strict=True):
        first: dict[tuple[int, int], int] = {}
        born: dict[int, int] = {}
        site.append([first.setdefault(pair, i + 1) for i, pair in enumerate(zip(parents, tokens, strict=True))])
        ranks = []
        for p in parents:
            ranks.append(born.get(p, 0))
            born[p] = ranks[-1] + 1
        rank.append(ranks)
    return torch.tensor(site), torch.tensor(rank)


KERNELS: dict[Op, Callable[..., Any]] = {
    forward: host.forward,
    keep: host.keep,
    append: host.append,
    largest: largest_at,
    sites: sites_of_lists,
}
REGIONS: dict[str, RegionKernel] = {"walk": walk}
