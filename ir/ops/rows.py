"""Ops that pick rows, sites and columns."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.rows import where_rows


@op()
def select_rows(mask: Bool[Tensor, "B"], new: Any, old: Any) -> Any:
    """Row by row ``new`` where the mask holds, else ``old``; tensors or tuples and dicts of them."""
    return where_rows(mask, new, old)


@op()
def at(values: Any, index: Int[Tensor, "B"]) -> Any:
    """``values[b, index[b]]``: what a row has at one site; an index below 0 reads site 0."""
    rows = torch.arange(len(index))
    pick = lambda x: x[rows, index.clamp(min=0)]  # noqa: E731
    return torch.utils._pytree.tree_map(pick, values)


@op()
def at_each(values: Any, index: Int[Tensor, "B N"]) -> Any:
    """``values[b, index[b,i]]`` for every i."""
    rows = torch.arange(len(index))[:, None]
    return torch.utils._pytree.tree_map(lambda x: x[rows, index.clamp(min=0)], values)


@op()
def set_column(values: Int[Tensor, "B M"], column: int, value: Int[Tensor, "B"], mask: Bool[Tensor, "B"]) -> Int[Tensor, "B M"]:
    """``values`` with one column replaced where the mask holds."""
    out = values.clone()
    out[:, column] = torch.where(mask, value, out[:, column])
    return out


@op()
def join(*parts: Float[Tensor, "B _ V"] | Int[Tensor, "B _"]) -> Tensor:
    """Parts one after the other along the sites."""
    return torch.cat(parts, 1)


@op()
def in_every_row(like: Shaped[Tensor, "B *N"], values: tuple[int, ...]) -> Shaped[Tensor, "B M"]:
    """What is known while tracing, the same in every row."""
    return torch.tensor(values).expand(len(like), -1)


@op()
def widened(values: Any, count: int) -> Any:
    """What a row has, at each of several places: ``[b,...] -> [b,count,...]``."""
    return torch.utils._pytree.tree_map(lambda x: x[:, None].expand(-1, count, *x.shape[1:]), values)
