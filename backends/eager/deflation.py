"""Where K-SEQ's rho lies, as closely as a walk has to know it.

A child is accepted where its coin comes up, and that is whether rho lies below one number of the child's own (`bar`): one pass
over the tokens tells, or none where an earlier pass did. rho itself is looked for where every child was refused.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from penstock.ir.ops.accept import TINY

CLOSE = 1e-7
"""Of rho: the last of Newton's steps, in single precision four roundings; what it misses is that squared."""


@dataclass(slots=True)
class Deflation:
    """The rho of `kseq_plan` for ``count`` children of a site: of its target and what they were drawn from, both ``[k]``."""

    target: Tensor
    draft: Tensor
    count: int
    low: float = 1.0
    high: float = field(init=False)

    def __post_init__(self) -> None:
        self.high = float(self.count)

    def below(self, bar: float) -> bool:
        """Whether rho is less; it is not less than what is no number."""
        if self.low < bar < self.high:
            self.slope_at(bar)
        return bar >= self.high

    def slope_at(self, rho: float) -> tuple[float, float]:
        """``1 - (1 - beta)^k - rho beta``, which rho has for its root, and its slope there; the bracket is narrowed by it."""
        target, draft = self.target.numpy(), self.draft.numpy()
        cut = target * target.dtype.type(1 / rho)
        free = draft <= cut
        mass = min(float(np.minimum(draft, cut, out=cut).sum()), 1.0)
        excess = accepted(mass, self.count) - rho * mass
        if excess > 0:
            self.low = rho
        else:
            self.high = rho
        whole = float(np.dot(draft, free))
        return excess, -self.count * (1 - mass) ** (self.count - 1) * (mass - whole) / rho - whole

    def rho(self) -> float:
        """By Newton's steps from below, and halvings where one would leave the bracket.

        Of equal distributions 1 is a root as flat as there are children, which roundings hide from anywhere but itself.
        """
        near = max(CLOSE, 4 * float(np.finfo(self.target.numpy().dtype).eps))
        rho = self.low
        while self.high - self.low > near * self.high:
            excess, slope = self.slope_at(rho)
            step = excess / slope if slope else math.inf
            if abs(step) <= near * rho:
                return min(rho - step, float(self.count))
            rho = rho - step if self.low < rho - step < self.high else (self.low + self.high) / 2
        return self.high

    def owed(self) -> Tensor:
        """What refused children leave of the target; the target itself where nothing is owed."""
        rest = (self.target - self.draft if self.count == 1 else self.left(self.rho())).clamp_(min=0)
        return rest if float(rest.sum()) > TINY else self.target

    def left(self, rho: float) -> Tensor:
        """The target less what is taken of it in this deflation."""
        taken = torch.minimum(self.draft, self.target / rho)
        mass = min(float(taken.sum()), 1.0)
        return self.target.sub(taken, alpha=accepted(mass, self.count) / max(mass, torch.finfo(taken.dtype).tiny))


def accepted(mass: float, count: int) -> float:
    """That one of ``count`` tries hits: ``1 - (1 - mass)^count``, also where the mass is too small for that."""
    return -math.expm1(count * math.log1p(-mass)) if mass < 1 else 1.0
