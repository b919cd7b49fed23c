"""The forward of a canvas: prompt and canvas in full view of each other, all branches of all rows as one batch."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.canvas import Canvas
from penstock.ir.host import Feed
from penstock.ir.op import op
from penstock.ir.state import View


@op("forward", consumes=1, borrows=1, takes_live=True)
def denoise(
    view: View, canvas: Canvas, tokens: Int[Tensor, "B D L"], wanted: Bool[Tensor, "B D"], *, live: Bool[Tensor, "B"]
) -> tuple[View, Float[Tensor, "B D L V"]]:
    """Logits at every position of every branch that is wanted; zeros at the others, which cost nothing.

    A branch writes its keys and values to a copy of its row's cache, so a draft leaves no trace.
    """
    row, branch = (wanted & live[:, None]).nonzero(as_tuple=True)
    view.forwards = view.forwards + (wanted.any(1) & live)
    rows, d, length = tokens.shape
    if not len(row):
        return view, torch.zeros(rows, d, length, view.model.vocab)
    feed = full_view(view, canvas, row, tokens[row, branch])
    answer = view.model.forward(view.cache.take(row), feed).logits
    where = view.prefix_length[row][:, None] + torch.arange(length)
    answer = answer[torch.arange(len(row))[:, None], where]
    logits = answer.new_zeros(rows, d, length, answer.shape[-1])
    logits[row, branch] = answer
    return view, logits


def full_view(view: View, canvas: Canvas, row: Tensor, tokens: Tensor) -> Feed:
    """The columns of one branch a batch row: the prompt, then the canvas; each sees all of them, void ones only themselves."""
    prefix, length = view.prefix_length[row], canvas.length[row]
    width = int(prefix.max()) + tokens.shape[1]
    column = torch.arange(width).expand(len(row), -1)
    inside = column - prefix[:, None]
    whole = torch.cat([view.prefix[row], tokens], 1)
    ids = whole.gather(1, torch.where(inside < 0, column, view.prefix.shape[1] + inside.clamp(0, tokens.shape[1] - 1)))
    real = inside < length[:, None]
    slots = torch.where(real, column, view.cache.slots)
    extent = torch.arange(view.cache.slots + 1)
    seen = extent < (prefix + length)[:, None]
    visible = real[..., None] & seen[:, None] | (extent == slots[..., None])
    return Feed(ids, slots, torch.where(real, column, 0), visible)
