"""The canvas: a state whose step commits masked positions in any order, and the carried predictions that draft for it.

A static step T unmasks, among the open positions, what an unmasker proposes. The carried predictions are those that the last
static step was made of: they name what the next ones will do, so drafting costs no forward.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from penstock.ir.state import Sequence

PENDING = -1
"""In `when`: not committed yet."""


@dataclass(kw_only=True)
class Canvas(Sequence):
    """``tokens [b,l]``: the canvas of each row, ``length [b]`` long; the mask where nothing is committed, 0 beyond its length."""

    active: Tensor
    """bool ``[b,l]``: positions that steps may commit; the others are given."""
    block: Tensor
    """int64 ``[b,l]``: the block of each position. The cursor is the least block with something left to commit."""
    mask: int
    x0: Tensor
    """int64 ``[b,l]``: carried predictions, from just before the last static step."""
    conf: Tensor
    """float ``[b,l]``: how sure each is."""
    ready: Tensor
    """bool ``[b]``: whether there are carried predictions."""
    unmasked: Tensor
    """int64 ``[b]``: static steps done; with the position the coordinates of a canvas's noise."""
    when: Tensor
    """int64 ``[b,l]``: the static step that committed each position, PENDING before and for given ones."""


def new_canvas(
    canvases: list[list[int]],
    mask: int,
    *,
    key: Tensor,
    block: int | None = None,
    params: dict[str, Tensor] | None = None,
) -> Canvas:
    """A batch of canvases: whatever holds the mask id is to be committed, ``block`` positions at a time if given."""
    rows, longest = len(canvases), max(map(len, canvases))
    tokens = torch.tensor([ids + [0] * (longest - len(ids)) for ids in canvases])
    length = torch.tensor([len(ids) for ids in canvases])
    blocks = torch.arange(longest).div(block or longest, rounding_mode="floor").expand(rows, -1).clone()
    zeros = torch.zeros(rows, dtype=torch.long)
    return Canvas(
        tokens=tokens,
        length=length,
        status=zeros.clone(),
        steps=zeros.clone(),
        key=key.clone(),
        limit=length.clone(),
        params=params or {},
        active=(tokens == mask) & (torch.arange(longest) < length[:, None]),
        block=blocks,
        mask=mask,
        x0=torch.zeros_like(tokens),
        conf=torch.zeros(rows, longest, dtype=torch.float64),
        ready=torch.zeros(rows, dtype=torch.bool),
        unmasked=zeros.clone(),
        when=torch.full_like(tokens, PENDING),
    )
