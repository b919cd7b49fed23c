"""The canvas: a state whose step commits masked positions in any order, and the carried predictions that draft for it.

A static step T unmasks, among the open positions, what an unmasker proposes. The carried predictions are those that the last
static step was made of: they name what the next ones will do, so drafting costs no forward.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from penstock.ir.rows import Rows
from penstock.ir.state import RUNNING

PENDING = -1
"""In `when`: not committed yet."""


@dataclass
class Canvas(Rows):
    """The canvas of each row and how it stands; a row is live while RUNNING."""

    tokens: Tensor
    """int64 ``[b,l]``; ``mask`` where nothing is committed, 0 beyond ``length``."""
    length: Tensor
    """int64 ``[b]``."""
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
    status: Tensor
    """int64 ``[b]``, as in a sequence."""
    steps: Tensor
    """int64 ``[b]``: steps this row has taken, each one forward."""
    unmasked: Tensor
    """int64 ``[b]``: static steps done; with the position the coordinates of a canvas's noise."""
    when: Tensor
    """int64 ``[b,l]``: the static step that committed each position, PENDING before and for given ones."""
    key: Tensor
    """int64 ``[b]``: the request key."""

    @property
    def live(self) -> Tensor:
        return self.status == RUNNING


def new_canvas(canvases: list[list[int]], mask: int, *, key: Tensor, block: int | None = None) -> Canvas:
    """A batch of canvases: whatever holds the mask id is to be committed, ``block`` positions at a time if given."""
    rows, longest = len(canvases), max(map(len, canvases))
    tokens = torch.tensor([ids + [0] * (longest - len(ids)) for ids in canvases])
    length = torch.tensor([len(ids) for ids in canvases])
    active = (tokens == mask) & (torch.arange(longest) < length[:, None])
    blocks = torch.arange(longest).div(block or longest, rounding_mode="floor").expand(rows, -1).clone()
    zeros = torch.zeros(rows, dtype=torch.long)
    return Canvas(
        tokens,
        length,
        active,
        blocks,
        mask,
        x0=torch.zeros_like(tokens),
        conf=torch.zeros(rows, longest, dtype=torch.float64),
        ready=torch.zeros(rows, dtype=torch.bool),
        status=zeros.clone(),
        steps=zeros.clone(),
        unmasked=zeros.clone(),
        when=torch.full_like(tokens, PENDING),
        key=key.clone(),
    )
