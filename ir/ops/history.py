"""Ops on what a path has said: penalties for it, and tokens that it makes likelier, forbids or forces."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.logits import over, precise

Sequences = tuple[tuple[int, ...], ...]


@op()
def additive_penalty(
    logits: Float[Tensor, "*B V"], said: Bool[Tensor, "*B V"] | Int[Tensor, "*B V"], alpha: float | Float[Tensor, "B"]
) -> Float[Tensor, "*B V"]:
    """``logits - alpha said``: whether a token was said, or how often."""
    wide = precise(logits)
    return (wide - over(alpha, wide) * said).to(logits)


@op()
def fewer(count: Int[Tensor, "*B"], least: int | Float[Tensor, "B"]) -> Bool[Tensor, "*B"]:
    """Where a count is below its least."""
    return count < over(least, count)


@op()
def reached(count: Int[Tensor, "*B"], place: int | Float[Tensor, "B"]) -> Bool[Tensor, "*B"]:
    """Where a count is exactly this."""
    return count == over(place, count)


@op()
def forbid(logits: Float[Tensor, "*B V"], tokens: tuple[int, ...], where: Bool[Tensor, "*B"]) -> Float[Tensor, "*B V"]:
    """-inf at these tokens, where it holds."""
    named = torch.isin(torch.arange(logits.shape[-1]), torch.tensor(tokens))
    return logits.masked_fill(named & where[..., None], -torch.inf)


@op()
def promote(
    logits: Float[Tensor, "*B V"],
    tokens: tuple[int, ...],
    count: Int[Tensor, "*B"],
    after: int | Float[Tensor, "B"],
    factor: float | Float[Tensor, "B"],
) -> Float[Tensor, "*B V"]:
    """These logits, plus ``|logit| (factor^n - 1)`` where the count is n beyond ``after``; a forbidden token stays so.

    The growth stops at 1e30, where a logit of any model is still finite.
    """
    wide = precise(logits)[..., torch.tensor(tokens)]
    beyond = (count - over(after, count)).clamp(min=0)[..., None]
    growth = ((over(factor, beyond.double()) ** beyond).clamp(max=1e30) - 1).to(wide)
    grown = torch.where(wide.isfinite(), wide + wide.abs() * growth, wide).to(logits)
    return logits.index_copy(-1, torch.tensor(tokens), grown)


@op()
def only(logits: Float[Tensor, "*B V"], token: int, where: Bool[Tensor, "*B"]) -> Float[Tensor, "*B V"]:
    """-inf at all tokens but one, where it holds; that one stays as it is."""
    return logits.masked_fill((torch.arange(logits.shape[-1]) != token) & where[..., None], -torch.inf)


@op()
def bias_completions(
    logits: Float[Tensor, "*B V"], recent: Int[Tensor, "*B R"], sequences: Sequences, values: tuple[float, ...]
) -> Float[Tensor, "*B V"]:
    """Adds each sequence's value to its last token, where the others are what was said last."""
    wide = precise(logits)
    added = torch.where(completing(recent, sequences), torch.tensor(values, dtype=wide.dtype), 0.0)
    last = torch.tensor([sequence[-1] for sequence in sequences])
    return (wide + torch.zeros_like(wide).index_add(-1, last, added)).to(logits)


@op()
def forbid_completions(
    logits: Float[Tensor, "*B V"], recent: Int[Tensor, "*B R"], sequences: Sequences
) -> Float[Tensor, "*B V"]:
    """-inf at each sequence's last token, where the others are what was said last."""
    last = torch.tensor([sequence[-1] for sequence in sequences])
    return logits.masked_fill(named(last, completing(recent, sequences), logits.shape[-1]), -torch.inf)


@op()
def forbid_repeats(logits: Float[Tensor, "*B V"], text: Int[Tensor, "*B W"], size: int) -> Float[Tensor, "*B V"]:
    """-inf at each token that would end a run of ``size`` tokens that the text has already; -1 is before its begin."""
    if text.shape[-1] < size:
        return logits
    runs, ending = text.unfold(-1, size, 1), text[..., text.shape[-1] - size + 1 :]
    again = (runs[..., :-1] == ending[..., None, :]).all(-1) & (runs[..., 0] >= 0)
    return logits.masked_fill(named(runs[..., -1], again, logits.shape[-1]), -torch.inf)


def completing(recent: Int[Tensor, "*B R"], sequences: Sequences) -> Bool[Tensor, "*B M"]:
    """Which sequences lack nothing but their last token; where nothing was said yet, recent is -1."""
    width = recent.shape[-1]
    before = torch.tensor([[-1] * (width + 1 - len(sequence)) + list(sequence[:-1]) for sequence in sequences])
    return ((recent[..., None, :] == before) | (before < 0)).all(-1)


def named(tokens: Int[Tensor, "*M"], where: Bool[Tensor, "*B M"], vocab: int) -> Bool[Tensor, "*B V"]:
    """By token: whether it is one of ``tokens`` where that counts."""
    spare = torch.where(where, tokens, vocab)
    return where.new_zeros(*where.shape[:-1], vocab + 1).scatter(-1, spare, True)[..., :vocab]
