"""Acceptance rules that are wrong, each in one way that implementations have been; and one that is right for another law."""

from dataclasses import dataclass

import torch

from penstock.ir.ops.accept import deflated_ratio, owed_after, without
from penstock.ir.rules import KSeq, Recursive


@dataclass(frozen=True)
class Multiround(Recursive):
    """Recursive rejection over iid children: the draft is not shrunk (SpecInfer's rule, card E)."""

    def reject(self, state, token, where):
        t, d = state
        return owed_after(t, d, where), d


class Fresh(KSeq):
    """Planted: on a refusal the target is drawn afresh, not what is still owed."""

    def rest(self, state):
        return state[0]


class Unclamped(KSeq):
    """Planted: rho = 1 whatever the number of children."""

    def begin(self, t, d, count):
        one = torch.ones_like(count).to(t)
        mass = torch.minimum(d, t).sum(-1)
        share = (1 - (1 - mass) ** count) / mass
        return t, d, one, (t - torch.minimum(d, t) * share[:, None]).clamp(min=0)


class Swapped(KSeq):
    """Planted: the ratio is of draft to target."""

    def accept(self, state, token):
        t, d, rho, _ = state
        return deflated_ratio(d, t, rho, token)


class Unshrunk(Recursive):
    """Planted: a refused child stays in the draft's distribution."""

    reject = Multiround.reject


class Unnormalised(Recursive):
    """Planted: a refused child is taken out of the draft, which is not renormalised."""

    def reject(self, state, token, where):
        t, d = state
        return owed_after(t, d, where), d.scatter(1, token[:, None], 0.0)


class ShrinkFirst(Recursive):
    """Planted: the draft is shrunk before it is subtracted."""

    def reject(self, state, token, where):
        t, d = state
        shrunk = without(d, token, where)
        return owed_after(t, shrunk, where), shrunk
