"""Stochastic beam search: sequences drawn without replacement, level by level (Kool et al., arXiv 1903.06059).

Read as a race: a node arrives at time ``exp(-psi)``, an exponential whose rate is its sequence's probability ``exp(phi)``, and a
parent arrives together with the first of its children. The beam is whatever arrives first, in order of arrival; a node that is
not there has ``psi = -inf``.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.noise import addresses, exponentials
from penstock.ir.op import op

Beam = tuple[Tensor, Tensor, Tensor, Tensor]
"""``(place, token, phi, psi)``, each ``[b,m]``: the parent's place in the last beam, the token, and the two scores."""


def beam_outcomes(
    q: Float[Tensor, "W T V"], phi: Float[Tensor, "W T"], psi: Float[Tensor, "W T"], *_: Any, width: int
) -> tuple[Tensor, Beam, Tensor]:
    """``(row, beam, weight)`` of every beam that can follow; of ``psi`` only its order counts, and only that is handed on.

    Exponentials have no memory: between two arrivals, the children still out of parents that are there race the next parent, and
    everything that has not arrived yet, ``1 - sum exp(phi)``, is the rate at which one comes.
    """
    rows, tips, vocab = q.shape
    p, there, place = phi.exp(), psi > -torch.inf, torch.arange(tips)
    after = (1 - p.cumsum(1)).roll(1, 1).index_fill(1, torch.tensor(0), 1.0).maximum(p)  # the rate of a parent's arrival
    row, weight, came = torch.arange(rows), q.new_ones(rows), torch.zeros(rows, dtype=torch.long)
    taken, picks = torch.zeros(rows, tips * vocab, dtype=torch.bool), torch.zeros(rows, 0, dtype=torch.long)
    for _arrival in range(min(width, tips * vocab)):
        out = torch.where(place < came[:, None], p[row], 0.0) + torch.where(place == came[:, None], after[row], 0.0)
        rate = ((out * there[row])[..., None] * q[row]).flatten(1).masked_fill(taken, 0.0)
        total = rate.sum(1, keepdim=True)
        chance = torch.cat([rate / total.clamp(min=torch.finfo(q.dtype).tiny), (total == 0).to(q)], 1)  # or nobody is left
        world, event = (chance > 0).nonzero(as_tuple=True)
        row, weight, picks = row[world], weight[world] * chance[world, event], torch.cat([picks[world], event[:, None]], 1)
        came, taken = torch.maximum(came[world], event // vocab + 1), taken[world]
        taken = taken | (torch.arange(tips * vocab) == event[:, None])
    some = picks < tips * vocab
    psi = torch.where(some, -torch.arange(picks.shape[1]).to(q), -torch.inf)
    return row, member(q[row], phi[row], psi, torch.where(some, picks, 0)), weight


@op("random", takes_live=True, outcomes=beam_outcomes)
def beam_race(
    q: Float[Tensor, "B T V"],
    phi: Float[Tensor, "B T"],
    psi: Float[Tensor, "B T"],
    key: Int[Tensor, "B"],
    stage: str,
    purpose: str,
    at: Sequence[Any],
    *,
    width: int,
    live: Bool[Tensor, "B"],
) -> Beam:
    """The next beam: of all children of all places, the ``width`` that arrive first.

    A child arrives after its parent by as much as it lost its parent's race, on the clock of whole sequences.
    """
    places = (addresses(key, stage, purpose, (*at, place)) for place in range(q.shape[1]))
    lost = torch.stack([exponentials(words, q.shape[2]) for words in places], 1).to(q) / q
    lost = lost - lost.amin(-1, keepdim=True)
    late = torch.logaddexp(-psi[..., None], lost.log() - phi[..., None])  # log of the arrival; at the winner exactly the parent's
    late = torch.where((q > 0) & (psi > -torch.inf)[..., None], late, torch.inf).flatten(1)
    late, picks = late.topk(min(width, late.shape[1]), largest=False)
    return member(q, phi, -late, torch.where(late < torch.inf, picks, 0))


def member(q: Tensor, phi: Tensor, psi: Tensor, picks: Tensor) -> Beam:
    """A beam of these picks among ``tips * v`` children."""
    place, token = picks // q.shape[2], picks % q.shape[2]
    joint = phi.gather(1, place) + q.flatten(1).gather(1, picks).log()
    return place, token, torch.where(psi > -torch.inf, joint, -torch.inf), psi


@op()
def or_void(q: Float[Tensor, "B T V"]) -> tuple[Float[Tensor, "B T V"], Bool[Tensor, "B T"]]:
    """Where nothing can follow a tip (masks left it no support), token 0 stands in for nothing, and the second result is False.

    So the sequence that ends there keeps its place in the race; giving it to another would tell of the draw.
    """
    fertile = q.sum(-1) > 0
    void = torch.zeros_like(q)
    void[..., 0] = 1
    return torch.where(fertile[..., None], q, void), fertile


@op()
def beam_root(q: Float[Tensor, "B T V"]) -> Float[Tensor, "B T"]:
    """Scores of the root: the empty sequence is certain, and there from the start."""
    return torch.zeros_like(q[..., 0])


@op()
def offspring(
    psi: Float[Tensor, "B M"], place: Int[Tensor, "B M"], fertile: Bool[Tensor, "B T"], valid: Bool[Tensor, "B T"] | None
) -> Bool[Tensor, "B M"]:
    """Which members of a beam are real: they are there, and follow a real tip that something can follow."""
    real = fertile if valid is None else fertile & valid
    return (psi > -torch.inf) & real.gather(1, place)
