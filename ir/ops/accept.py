"""Acceptance rules: the mathematics that turns a target, a draft's law and coins into exactly the target.

Notation of methods' cards: ``t`` target, ``d`` draft, both ``[b,v]``. A rule is data for the one walker.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op

TINY = 1e-13


class Rule(Protocol):
    """What the walker asks at one site: begin, then child after child, then the rest."""

    @property
    def name(self) -> str: ...

    @property
    def laws(self) -> frozenset[str]:
        """The draft laws that it is exact for."""
        ...

    @property
    def tests_children(self) -> bool:
        """False: one token is selected and looked up among the children, no coin is thrown."""
        ...

    def begin(self, t: Any, d: Any, count: Any) -> Any: ...
    def accept(self, state: Any, token: Any) -> Any: ...
    def reject(self, state: Any, token: Any, where: Any) -> Any: ...
    def rest(self, state: Any) -> Any: ...


@op()
def kseq_plan(
    t: Float[Tensor, "B V"], d: Float[Tensor, "B V"], count: Int[Tensor, "B"]
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B V"]]:
    """``(rho, residual)`` of K-SEQ for ``count`` iid children (SpecTr, arXiv 2310.15141): the deflation, and what is still owed.

    ``beta(rho) = sum min(d, t/rho)``; rho solves ``1 - (1 - beta)^k = rho beta`` from above, so the residual is never negative.
    """
    k = count.clamp(min=1).to(t)
    low, high = torch.ones_like(k), k.clone()

    def beta(rho: Tensor) -> Tensor:
        return torch.minimum(d, t / rho[:, None]).sum(-1).clamp(max=1)

    def accepted(beta: Tensor) -> Tensor:  # 1 - (1 - beta)^k, also where beta is too small for that
        return -torch.expm1(k * torch.log1p(-beta))

    for _ in range(60 if bool((k > 1).any()) else 0):
        middle = (low + high) / 2
        short = accepted(beta(middle)) > middle * beta(middle)
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    mass = beta(high)
    share = accepted(mass) / mass.clamp(min=torch.finfo(t.dtype).tiny)
    owed = (t - torch.minimum(d, t / high[:, None]) * share[:, None]).clamp(min=0)
    owed = torch.where((count > 0)[:, None] & (owed.sum(-1, keepdim=True) > TINY), owed, t)
    return high, owed


@op()
def deflated_ratio(
    t: Float[Tensor, "B V"], d: Float[Tensor, "B V"], rho: float | Float[Tensor, "B"], token: Int[Tensor, "B"]
) -> Float[Tensor, "B"]:
    """``min(1, t(x) / (rho d(x)))``: the probability of accepting x; 0 for an impossible token."""
    tx, dx = t.gather(1, token[:, None])[:, 0], d.gather(1, token[:, None])[:, 0]
    return torch.where(tx > 0, (tx / (rho * dx)).clamp(max=1), 0.0)


@op()
def owed_after(t: Float[Tensor, "B V"], d: Float[Tensor, "B V"], where: Bool[Tensor, "B"]) -> Float[Tensor, "B V"]:
    """Where a child was refused: ``max(t - d, 0)`` renormalised; t itself where nothing is owed."""
    owed = (t - d).clamp(min=0)
    total = owed.sum(-1, keepdim=True)
    return torch.where(where[:, None] & (total > TINY), owed / total.clamp(min=TINY), t)


@op()
def without(d: Float[Tensor, "B V"], token: Int[Tensor, "B"], where: Bool[Tensor, "B"]) -> Float[Tensor, "B V"]:
    """Where a child was refused: ``d`` with that token taken out, renormalised; unchanged when it held all the mass."""
    left = d.scatter(1, token[:, None], 0.0)
    total = left.sum(-1, keepdim=True)
    return torch.where(where[:, None] & (total > 0), left / total.clamp(min=torch.finfo(d.dtype).tiny), d)


@dataclass(frozen=True)
class KSeq:
    """K-SEQ over iid children; with one child it is speculative sampling (Leviathan et al., arXiv 2211.17192)."""

    name: str = "kseq"
    laws: frozenset[str] = frozenset({"iid", "fixed"})
    tests_children: bool = True

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return (t, d, *kseq_plan(t, d, count))

    def accept(self, state: Any, token: Any) -> Any:
        t, d, rho, _ = state
        return deflated_ratio(t, d, rho, token)

    def reject(self, state: Any, token: Any, where: Any) -> Any:
        return state

    def rest(self, state: Any) -> Any:
        return state[3]


@dataclass(frozen=True)
class Recursive:
    """Recursive rejection over children drawn without replacement (RSD, arXiv 2402.14160): owe, then shrink, in that order."""

    name: str = "recursive"
    laws: frozenset[str] = frozenset({"without_replacement"})
    tests_children: bool = True

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return t, d

    def accept(self, state: Any, token: Any) -> Any:
        t, d = state
        return deflated_ratio(t, d, 1.0, token)

    def reject(self, state: Any, token: Any, where: Any) -> Any:
        t, d = state
        return owed_after(t, d, where), without(d, token, where)

    def rest(self, state: Any) -> Any:
        return state[0]


@dataclass(frozen=True)
class Match:
    """Sample-and-match: one draw from the target, kept whether or not a child has it; exact for any draft whatever."""

    name: str = "match"
    laws: frozenset[str] = frozenset({"iid", "fixed", "without_replacement", "arbitrary"})
    tests_children: bool = False

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return t

    def accept(self, state: Any, token: Any) -> Any:
        raise NotImplementedError("sample-and-match tests no child")

    def reject(self, state: Any, token: Any, where: Any) -> Any:
        return state

    def rest(self, state: Any) -> Any:
        return state


@dataclass(frozen=True)
class ByLaw:
    """Each row by the rule that its own draft's law calls for: ``which [b]`` counts the rules in ``among``."""

    among: tuple[Rule, ...]
    which: Any
    name: str = "by_law"
    laws: frozenset[str] = frozenset()
    tests_children: bool = True

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return tuple(rule.begin(t, d, count) for rule in self.among)

    def accept(self, state: Any, token: Any) -> Any:
        chances = [rule.accept(s, token) if rule.tests_children else never(token) for rule, s in self._each(state)]
        return of_row(self.which, *chances)

    def reject(self, state: Any, token: Any, where: Any) -> Any:
        return tuple(rule.reject(s, token, where) for rule, s in self._each(state))

    def rest(self, state: Any) -> Any:
        return of_row(self.which, *(rule.rest(s) for rule, s in self._each(state)))

    def _each(self, state: Any) -> Any:
        return zip(self.among, state, strict=True)


@op()
def never(token: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
    """The probability 0, for every row."""
    return torch.zeros(len(token))


@op()
def of_row(which: Int[Tensor, "B"], *values: Float[Tensor, "B *S"]) -> Float[Tensor, "B *S"]:
    """``values[which[b]][b]``."""
    kind = max((value.dtype for value in values), key=lambda dtype: dtype.itemsize)
    return torch.stack([value.to(kind) for value in values])[which, torch.arange(len(which))]


EVERY_RULE: tuple[Rule, ...] = (KSeq(), Recursive(), Match())
RULES = {rule.name: rule for rule in EVERY_RULE}
AUTO_BY_ROW = "by_law"
"""What stands for a rule where rows have drafts of laws that call for different ones."""
AUTO = {"iid": "kseq", "fixed": "kseq", "without_replacement": "recursive", "arbitrary": "match"}
