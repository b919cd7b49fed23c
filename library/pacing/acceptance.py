"""How many tokens a step is expected to commit, and what acceptance is believed to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from penstock.ir.ops.pacing import Row, Tried

SPAN = 32
"""Steps with drafts after which counts begin anew; those of the span before still count."""
WINDOW = 2 * SPAN
"""Steps after which nothing that was seen counts any more, with drafts or without."""
PRIOR = 0.7
"""Acceptance before anything was tested (SmartSpec's)."""
SHRINKAGE = 4.0
"""How many tested positions of all rows a row's own weigh against."""


@dataclass(frozen=True)
class Belief:
    """What is believed of a row's next draft."""

    alpha: float
    """The chance that a position is accepted if it is tested."""
    proposes: float = 1.0
    """The chance that there is a draft at all."""

    def tokens(self, longest: int) -> list[float]:
        """Expected tokens of a step whose draft has 0, 1, 2 ... tokens: ``1 + a + ... + a^k`` where there is one, else 1."""
        return list(accumulate((self.proposes * self.alpha**k for k in range(1, longest + 1)), initial=1.0))


def tokens_of(tables: Sequence[Sequence[float]], lengths: Sequence[int]) -> float:
    """Expected tokens of a batch, from each row's by length."""
    return sum(table[length] for table, length in zip(tables, lengths, strict=True))


def seen(before: Row, drafts: Sequence[Tried]) -> Row:
    """What is known after a step that asked for these drafts: positions that were tested count, not those that were drafted."""
    old = before if before.behind < WINDOW else Row(before.budget)
    if old.steps >= SPAN:
        old = Row(old.budget, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, *old[3:7])
    return old._replace(
        behind=0.0,
        steps=old.steps + 1,
        accepted=old.accepted + sum(each.accepted for each in drafts),
        tested=old.tested + sum(each.tested for each in drafts),
        found=old.found + sum(each.offered > 0 for each in drafts),
        asked=old.asked + len(drafts),
    )


def idled(before: Row, tokens: int = 1) -> Row:
    """What is known after a step that asked for no draft, and had a drafter miss so many tokens."""
    return before._replace(behind=before.behind + tokens)


def shrunk(hits: float, tries: float, towards: float, weight: float) -> float:
    """A rate, as if ``weight`` tries had come out ``towards``."""
    return (hits + weight * towards) / (tries + weight)


def believed(row: Row, towards: Belief, weight: float) -> Belief:
    """What is believed of drafts by what was seen, as if ``weight`` tries had come out as another belief has it."""
    return Belief(
        shrunk(row.accepted + row.accepted_before, row.tested + row.tested_before, towards.alpha, weight),
        shrunk(row.found + row.found_before, row.asked + row.asked_before, towards.proposes, weight),
    )


def of_all(rows: Row) -> Belief:
    """What is believed of any row, from what was seen of all together."""
    return believed(rows, Belief(PRIOR), 2.0)


def of_row(row: Row, everyone: Belief) -> Belief:
    """What is believed of one row: what it has shown, and the less that is the more what all have."""
    return believed(row, everyone, SHRINKAGE)
