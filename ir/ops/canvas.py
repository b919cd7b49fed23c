"""Ops on a canvas: what is open, what is predicted, what a static step unmasks, which drafts it would have made itself.

Positions lead with ``*b``: the rows, or rows and branches of a draft.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.canvas import Canvas
from penstock.ir.op import op
from penstock.ir.state import EOS, LENGTH, RUNNING

FAR = torch.iinfo(torch.int64).max


@op("state", borrows=1)
def held(canvas: Canvas) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``(tokens, x0, conf, ready)``: what is committed, and the carried predictions."""
    return canvas.tokens, canvas.x0, canvas.conf, canvas.ready


@op("state", borrows=1)
def open_positions(canvas: Canvas, tokens: Int[Tensor, "*B L"]) -> Bool[Tensor, "*B L"]:
    """What a static step may commit: the masked positions of the first block that has any."""
    lead = len(tokens), *[1] * (tokens.dim() - 2), -1
    masked = (tokens == canvas.mask) & canvas.active.view(lead)
    block = torch.where(masked, canvas.block.view(lead), FAR)
    return masked & (block == block.amin(-1, keepdim=True))


@op("state", borrows=1)
def without_mask(canvas: Canvas, logits: Float[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
    """The mask itself is never predicted."""
    return logits.index_fill(-1, torch.tensor(canvas.mask), -torch.inf)


@op()
def likeliest(logits: Float[Tensor, "*B V"]) -> tuple[Int[Tensor, "*B"], Float[Tensor, "*B"]]:
    """The argmax (lowest id on ties) and its probability."""
    best = logits.argmax(-1)
    return best, logits.softmax(-1).gather(-1, best[..., None])[..., 0]


@op()
def rank_positions(conf: Float[Tensor, "*B L"], open: Bool[Tensor, "*B L"]) -> Int[Tensor, "*B L"]:
    """Positions, the surest open ones first, the leftmost on ties: one stable order, for drafts and targets alike."""
    return torch.where(open, conf, -torch.inf).argsort(dim=-1, descending=True, stable=True)


@op()
def leftmost(open: Bool[Tensor, "*B L"]) -> Int[Tensor, "*B L"]:
    """Positions, open ones first, from left to right."""
    return (~open).long().argsort(dim=-1, stable=True)


@op()
def at_most(open: Bool[Tensor, "*B L"], count: int) -> Int[Tensor, "*B"]:
    """``count``, or as many as are open."""
    return open.sum(-1).clamp(max=count)


@op()
def sure_or(
    conf: Float[Tensor, "*B L"], open: Bool[Tensor, "*B L"], threshold: float, count: Int[Tensor, "*B"]
) -> Int[Tensor, "*B"]:
    """How many open positions are at least so sure, and never fewer than ``count``."""
    return torch.maximum((open & (conf >= threshold)).sum(-1), count)


@op()
def reveal(
    tokens: Int[Tensor, "*B L"], order: Int[Tensor, "*B L"], token: Int[Tensor, "*B L"], count: Int[Tensor, "*B"]
) -> Int[Tensor, "*B L"]:
    """The canvas with the token of each of the first ``count`` positions in order written."""
    rank = torch.empty_like(order).scatter_(-1, order, torch.arange(order.shape[-1]).expand_as(order))
    return torch.where(rank < count[..., None], token, tokens)


@op()
def branches(*canvases: Int[Tensor, "B L"]) -> Int[Tensor, "B D L"]:
    """Canvases of a row side by side."""
    return torch.stack(canvases, 1)


@op()
def worth_a_forward(open: Bool[Tensor, "B D L"], ready: Bool[Tensor, "B"]) -> Bool[Tensor, "B D"]:
    """Which branches can be accepted and then go on: something is left to commit, and predictions were there to draft from.

    Branch 0 is the canvas itself, which needs none.
    """
    first = torch.arange(open.shape[1]) == 0
    return open.any(-1) & (first | ready[:, None])


@op()
def chain_verify(drafts: Int[Tensor, "B D L"], targets: Int[Tensor, "B D L"], valid: Bool[Tensor, "B D"]) -> Int[Tensor, "B"]:
    """The last branch of the chain that static decoding goes through too: each equals, everywhere, the step after the one before.

    Branch 0 is where the row stands, so a step always advances.
    """
    agree = (drafts[:, 1:] == targets[:, :-1]).all(-1) & valid[:, 1:]
    return agree.long().cumprod(1).sum(1)


@op("state", consumes=1, takes_live=True)
def commit(
    canvas: Canvas,
    target: Int[Tensor, "B L"],
    predictions: tuple[Float[Tensor, "B L"], Float[Tensor, "B L"]],
    drafts: Int[Tensor, "B D L"],
    accepted: Int[Tensor, "B"],
    eos: tuple[int, ...],
    *,
    live: Bool[Tensor, "B"],
) -> tuple[Canvas]:
    """Step to the static step after the accepted branch, and carry that branch's predictions; a full canvas stops running."""
    through = torch.arange(drafts.shape[1]) <= accepted[:, None]
    waited = ((drafts == canvas.mask) & through[..., None]).sum(1)
    row = live[:, None]
    new = row & canvas.active & (canvas.tokens == canvas.mask) & (target != canvas.mask)
    canvas.when = torch.where(new, canvas.unmasked[:, None] + waited - 1, canvas.when)
    canvas.tokens = torch.where(row, target, canvas.tokens)
    canvas.x0 = torch.where(row, predictions[0], canvas.x0)
    canvas.conf = torch.where(row, predictions[1], canvas.conf).to(predictions[1])
    canvas.ready = canvas.ready | live
    canvas.unmasked = canvas.unmasked + torch.where(live, accepted + 1, 0)
    canvas.steps = canvas.steps + live
    full = live & ~((canvas.tokens == canvas.mask) & canvas.active).any(1) & (canvas.status == RUNNING)
    ended = (torch.isin(canvas.tokens, torch.tensor(eos, dtype=torch.long)) & canvas.active).any(1)
    canvas.status = torch.where(full, torch.where(ended, EOS, LENGTH), canvas.status)
    return (canvas,)
