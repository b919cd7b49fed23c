"""Ops on the shape of a draft: sites, ranks, depths, the child that a token leads to."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.rows import in_every_row


@op()
def sites(parent: Int[Tensor, "B N"], token: Int[Tensor, "B N"]) -> tuple[Int[Tensor, "B N"], Int[Tensor, "B N"]]:
    """``(site, rank)`` of every node: 1 + the first node with its parent site and token; its draw order among siblings.

    Site 0 is the root; a duplicate shares the first one's site, so its own is dead. Nodes are in draw order.
    """
    rank, site = torch.zeros_like(token), torch.zeros_like(token)
    for i in range(token.shape[1]):
        siblings = parent[:, :i] == parent[:, i : i + 1]
        rank[:, i] = siblings.sum(1)
        same = siblings & (token[:, :i] == token[:, i : i + 1])
        first = same.long().argmax(1) if i else 0
        site[:, i] = torch.where(same.any(1), first, i) + 1
    return site, rank


@op()
def children(parent: Int[Tensor, "B N"], valid: Bool[Tensor, "B N"], site: Int[Tensor, "B"]) -> Bool[Tensor, "B N"]:
    """Which nodes are valid children of a row's site, duplicates included."""
    return valid & (parent == site[:, None])


@op()
def ranked(
    among: Bool[Tensor, "B N"], token: Int[Tensor, "B N"], rank: Int[Tensor, "B N"], r: int
) -> tuple[Bool[Tensor, "B"], Int[Tensor, "B"]]:
    """``(exists, token)`` of the child drawn r-th."""
    mine = among & (rank == r)
    return mine.any(1), (token * mine).sum(1)


@op()
def child_with(
    among: Bool[Tensor, "B N"], token: Int[Tensor, "B N"], site: Int[Tensor, "B N"], chosen: Int[Tensor, "B"]
) -> Int[Tensor, "B"]:
    """The site that the chosen token leads to, -1 where no child has it."""
    match = among & (token == chosen[:, None])
    first = match.long().argmax(1, keepdim=True)
    return torch.where(match.any(1), site.gather(1, first)[:, 0], -1)


@op()
def drawn_from(q: Float[Tensor, "B N V"], among: Bool[Tensor, "B N"]) -> Float[Tensor, "B V"]:
    """The distribution that a site's children were drawn from: all of them hold the same one; any row where there are none."""
    return q[torch.arange(len(q)), among.long().argmax(1)]


@op()
def reached_by(token: Int[Tensor, "B N"], ids: tuple[int, ...]) -> Bool[Tensor, "B S"]:
    """By site: whether its node is one of these ids; the root is not."""
    node = torch.isin(token, torch.tensor(ids, dtype=torch.long))
    return torch.cat([torch.zeros_like(node[:, :1]), node], 1)


@op()
def tip_row(q: Float[Tensor, "B T V"], tip: int) -> Float[Tensor, "B V"]:
    """The distribution below one tip."""
    return q[:, tip]


def ancestors(parents: tuple[int, ...] | Tensor, rows: int) -> Bool[Tensor, "_ N N"]:
    """``[rows or 1, n, n]``: node i sees node j (itself included); a constant topology has one row for all."""
    table = torch.tensor([parents], dtype=torch.long) if isinstance(parents, tuple) else parents
    count, n = (1 if isinstance(parents, tuple) else rows), table.shape[1]
    seen = torch.zeros(count, n, n, dtype=torch.bool)
    row = torch.arange(count)
    for i in range(n):
        parent = table[:, i]
        seen[:, i] = seen[row, parent.clamp(min=0)] & (parent >= 0)[:, None]
        seen[:, i, i] = True
    return seen


def own_sites(token: Any, parents: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """``(parent site, site, rank)`` where siblings differ: node i has site i + 1, and ranks by its place among its siblings."""
    columns = zip(*((p + 1, i + 1, parents[:i].count(p)) for i, p in enumerate(parents)), strict=True)
    parent_site, site, rank = (in_every_row(token, column) for column in columns)
    return parent_site, site, rank


def with_parents(parents: Any, more: Any) -> Any:
    """A topology with more nodes: a tuple while it is constant, else ``[b,n]``."""
    if isinstance(parents, tuple) and (isinstance(more, tuple) or not parents):
        return parents + more if parents else more
    return joined_parents(parents, more)


@op()
def joined_parents(*parts: Int[Tensor, "B _"] | tuple[int, ...]) -> Int[Tensor, "B N"]:
    """Topologies one after the other, some the same in every row."""
    rows = max(len(part) for part in parts if isinstance(part, Tensor))
    return torch.cat([part if isinstance(part, Tensor) else torch.tensor(part).expand(rows, -1) for part in parts], 1)
