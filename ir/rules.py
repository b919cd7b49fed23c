"""Acceptance rules: how a target, a draft's law and coins become exactly the target. A rule is data for the one walker."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from penstock.ir.ops.accept import (
    certain_beyond,
    deflated_ratio,
    kseq_plan,
    mode,
    never,
    of_row,
    owed_after,
    typical_floor,
    without,
)
from penstock.ir.ops.block import block_plan, leads_on, owed_under
from penstock.ir.ops.logits import softmax
from penstock.ir.ops.rows import at
from penstock.ir.ports import Draft

ANY_LAW = frozenset({"fixed", "iid", "without_replacement", "arbitrary"})


class Rule:
    """What the walker asks: once of the whole draft, then at each site begin, child after child, and the rest."""

    name: ClassVar[str]
    laws: ClassVar[frozenset[str]]
    """The draft laws that it is for."""
    one_path: ClassVar[bool] = False
    """It is for drafts without siblings."""
    tests_children: ClassVar[bool] = True
    """False: one token is selected and looked up among the children, no coin is thrown."""
    certain: ClassVar[bool] = False
    """Its chances are 0 or 1, and no coin is thrown."""
    foreseen: ClassVar[bool] = False
    """Drafts are drawn on the noise of the selections that they guess at."""

    def planned(self, composed: Any, draft: Draft, cuts: dict[str, Any]) -> "Rule":
        """The rule with what it has to know of the whole draft, by site; ``cuts``: length, limit, last and closed."""
        return self

    def at(self, site: Any) -> "Rule":
        """The rule with what it knows of one site ``[b]``."""
        return self

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        """The state at a site of target ``t [b,v]``, whose ``count [b]`` children were drawn from ``d [b,v]``."""
        raise NotImplementedError

    def accept(self, state: Any, token: Any) -> Any:
        """The chance ``[b]`` of taking the next child."""
        raise NotImplementedError

    def reject(self, state: Any, token: Any, where: Any) -> Any:
        """The state once that child was refused."""
        return state

    def rest(self, state: Any) -> Any:
        """Weights ``[b,v]`` of what to draw where no child was taken."""
        raise NotImplementedError


@dataclass(frozen=True)
class KSeq(Rule):
    """K-SEQ over iid children; with one child it is speculative sampling (Leviathan et al., arXiv 2211.17192)."""

    name: ClassVar[str] = "kseq"
    laws: ClassVar[frozenset[str]] = frozenset({"iid", "fixed"})

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return (t, d, *kseq_plan(t, d, count))

    def accept(self, state: Any, token: Any) -> Any:
        t, d, rho, _ = state
        return deflated_ratio(t, d, rho, token)

    def rest(self, state: Any) -> Any:
        return state[3]


@dataclass(frozen=True)
class Block(Rule):
    """Block verification (Sun et al., arXiv 2403.10444): one path, judged as a whole; never fewer tokens than token by token."""

    name: ClassVar[str] = "block"
    laws: ClassVar[frozenset[str]] = frozenset({"iid", "fixed"})
    one_path: ClassVar[bool] = True

    weight: Any = None
    chance: Any = None

    def planned(self, composed: Any, draft: Draft, cuts: dict[str, Any]) -> "Block":
        on = leads_on(draft.valid, cuts["length"], cuts["limit"], cuts["last"], cuts["closed"])
        weight, chance = block_plan(softmax(composed), draft.q, draft.token, on)
        return replace(self, weight=weight, chance=chance)

    def at(self, site: Any) -> "Block":
        return replace(self, weight=at(self.weight, site), chance=at(self.chance, site))

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return self.chance, owed_under(t, d, self.weight, count)

    def accept(self, state: Any, token: Any) -> Any:
        return state[0]

    def rest(self, state: Any) -> Any:
        return state[1]


@dataclass(frozen=True)
class Recursive(Rule):
    """Recursive rejection over children drawn without replacement (RSD, arXiv 2402.14160): owe, then shrink, in that order."""

    name: ClassVar[str] = "recursive"
    laws: ClassVar[frozenset[str]] = frozenset({"without_replacement"})

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
class Match(Rule):
    """Sample-and-match: one draw from the target, kept whether or not a child has it; exact for any draft whatever."""

    name: ClassVar[str] = "match"
    laws: ClassVar[frozenset[str]] = ANY_LAW
    tests_children: ClassVar[bool] = False

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return t

    def rest(self, state: Any) -> Any:
        return state


@dataclass(frozen=True)
class Coupled(Match):
    """Sample-and-match of drafts that were drawn on the selections' own noise, so that like distributions give like tokens.

    A child is matched with chance ``sum_x 1 / sum_y max(d_y/d_x, t_y/t_x)`` (Gumbel coupling; Daliri et al., arXiv 2408.07978).
    """

    name: ClassVar[str] = "coupled"
    laws: ClassVar[frozenset[str]] = frozenset({"iid", "fixed"})
    one_path: ClassVar[bool] = True
    foreseen: ClassVar[bool] = True


@dataclass(frozen=True)
class Greedy(Match):
    """The likeliest token, kept whether or not a child has it."""

    name: ClassVar[str] = "greedy"

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return mode(t)


@dataclass(frozen=True)
class Typical(Rule):
    """Typical acceptance (Medusa, arXiv 2401.10774): the first child likelier than ``min(epsilon, delta exp(-H))`` stays."""

    name: ClassVar[str] = "typical"
    laws: ClassVar[frozenset[str]] = ANY_LAW
    certain: ClassVar[bool] = True

    epsilon: float
    delta: float

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return t, typical_floor(t, self.epsilon, self.delta)

    def accept(self, state: Any, token: Any) -> Any:
        return certain_beyond(*state, token)

    def rest(self, state: Any) -> Any:
        return state[0]


@dataclass(frozen=True)
class ByLaw(Rule):
    """Each row by the rule that its own draft's law calls for: ``which [b]`` counts the rules in ``among``."""

    name: ClassVar[str] = "by_law"
    laws: ClassVar[frozenset[str]] = frozenset()

    among: tuple[Rule, ...]
    which: Any

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return tuple(rule.begin(t, d, count) for rule in self.among)

    def accept(self, state: Any, token: Any) -> Any:
        chances = [rule.accept(s, token) if rule.tests_children else never(token) for rule, s in self._each(state)]
        return of_row(self.which, *chances)

    def reject(self, state: Any, token: Any, where: Any) -> Any:
        return tuple(rule.reject(s, token, where) for rule, s in self._each(state))

    def rest(self, state: Any) -> Any:
        return of_row(self.which, *(rule.rest(s) for rule, s in self._each(state)))

    def _each(self, state: Any) -> Iterator[tuple[Rule, Any]]:
        return zip(self.among, state, strict=True)


EVERY_RULE: tuple[Rule, ...] = (KSeq(), Block(), Recursive(), Match(), Coupled(), Greedy())
RULES = {rule.name: rule for rule in EVERY_RULE}
"""The rules that a verifier can name."""
AUTO_BY_ROW = "by_law"
"""What stands for a rule where rows have drafts of laws that call for different ones."""
AUTO = {"iid": "kseq", "fixed": "kseq", "without_replacement": "recursive", "arbitrary": "match"}
