"""Ops on logits and distributions; the last dimension is the vocabulary, everything before it is batch.

Ties are settled the same way everywhere: the lowest id first.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op


def over(value: float | Tensor, x: Tensor) -> Tensor:
    """A constant or a per-row parameter ``[b]``, shaped to broadcast over ``x [b,...]``."""
    value = torch.as_tensor(value, dtype=x.dtype)
    return value.view(-1, *[1] * (x.dim() - 1)) if value.dim() else value


def precise(x: Tensor) -> Tensor:
    """The same numbers in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def entropy(log_p: Float[Tensor, "*B V"]) -> Float[Tensor, "*B"]:
    """Shannon entropy in nats of log-probabilities; impossible tokens contribute 0."""
    return -torch.where(log_p.isneginf(), 0.0, log_p.exp() * log_p).sum(-1)


COLDEST = 1e-30
"""Temperatures below this are 0: logits that differ by what float32 can tell apart are worlds apart there."""


@op()
def greedy(logits: Float[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
    """The largest logit (lowest id on ties), -inf elsewhere: what temperature 0 means.

    It stays as it is, so that a row without support, or one that is no number, is still seen by whoever draws from it.
    """
    best = logits.argmax(-1, keepdim=True)
    return torch.full_like(logits, -torch.inf).scatter(-1, best, logits.gather(-1, best))


@op()
def scale(logits: Float[Tensor, "*B V"], temperature: float | Float[Tensor, "B"]) -> Float[Tensor, "*B V"]:
    """``logits / temperature``; 0 is `greedy`, per row where the temperature is a request parameter.

    Below `COLDEST` a quotient could be infinite: there it is `greedy` too, which is the same in all but name.
    """
    if not isinstance(temperature, Tensor):
        return logits / temperature if temperature >= COLDEST else greedy.meaning(logits)
    wide = precise(logits)
    degrees = over(temperature, wide)
    cold = degrees < COLDEST
    return torch.where(cold, greedy.meaning(logits), (wide / torch.where(cold, 1.0, degrees)).to(logits))


@op()
def softmax(logits: Float[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
    """Probabilities of logits, in float32 at least: draws and acceptance compare them."""
    return precise(logits).softmax(-1)


@op()
def log_softmax(logits: Float[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
    """Log-probabilities of logits."""
    return logits.log_softmax(-1)


@op()
def entropy_bits(logits: Float[Tensor, "*B V"]) -> Float[Tensor, "*B"]:
    """Shannon entropy in bits, in float32 at least; impossible tokens contribute 0."""
    return entropy(precise(logits).log_softmax(-1)) / math.log(2)


@op()
def top_k(logits: Float[Tensor, "*B V"], k: int | Float[Tensor, "B"]) -> Float[Tensor, "*B V"]:
    """Exactly the k largest logits stay, -inf elsewhere."""
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    kept = ordered.masked_fill(torch.arange(logits.shape[-1]) >= over(k, order), -torch.inf)
    return torch.empty_like(logits).scatter(-1, order, kept)


@op()
def top_ids(
    logits: Float[Tensor, "B T V"], first: Float[Tensor, "B T V"] | None, each: int
) -> Int[Tensor, "B M"]:
    """The ``each`` largest ids of every tip, in order, tip by tip; by ``first`` if given, and by the logits where that ties."""
    order = logits.sort(dim=-1, descending=True, stable=True).indices
    if first is not None:
        order = order.gather(-1, first.gather(-1, order).sort(dim=-1, descending=True, stable=True).indices)
    return order[..., :each].flatten(1)


def within(chance: Float[Tensor, "*B V"], p: float | Float[Tensor, "B"]) -> Bool[Tensor, "*B V"]:
    """Which of ordered probabilities are needed to reach p: those with less than p before them, and all where p is 1."""
    p = over(p, chance)
    return (chance.cumsum(-1) - chance < p) | (p >= 1)  # sums of roundings may reach 1 early


@op()
def top_p(logits: Float[Tensor, "*B V"], p: float | Float[Tensor, "B"]) -> Float[Tensor, "*B V"]:
    """The fewest most likely tokens whose probability reaches p stay (Holtzman et al., arXiv 1904.09751), never none."""
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    kept = ordered.masked_fill(~within(precise(ordered).softmax(-1), p), -torch.inf)
    kept[..., 0] = ordered[..., 0]
    return torch.empty_like(logits).scatter(-1, order, kept)


@op()
def repetition_penalty(
    logits: Float[Tensor, "*B V"], seen: Bool[Tensor, "*B V"], alpha: float | Float[Tensor, "B"]
) -> Float[Tensor, "*B V"]:
    """Where a token was seen, positive logits over ``alpha`` and negative ones times it (CTRL, arXiv 1909.05858)."""
    wide = precise(logits)
    alpha = over(alpha, wide)
    return torch.where(seen, torch.where(wide > 0, wide / alpha, wide * alpha).to(logits), logits)
