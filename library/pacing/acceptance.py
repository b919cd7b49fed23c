"""How many tokens a step is expected to commit, and what acceptance is believed to be."""

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.ir.ops.pacing import Row, Tried

WINDOW = 32
"""Steps after which what was seen counts no more: by a factor of e a window while drafts go on, and at once after so many without."""
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

    def tokens(self, length: int) -> float:
        """Expected tokens of a step whose draft has ``length``: ``1 + a + ... + a^k`` where there is one, else 1."""
        return 1 - self.proposes + self.proposes * sum(self.alpha**i for i in range(length + 1))


def tokens_of(beliefs: Sequence[Belief], lengths: Sequence[int]) -> float:
    """Expected tokens of a whole batch."""
    return sum(belief.tokens(length) for belief, length in zip(beliefs, lengths, strict=True))


def seen(before: Row, drafts: Sequence[Tried]) -> Row:
    """What is known after a step that asked for these drafts: positions that were tested count, not those that were drafted."""
    fading = 1 - 1 / WINDOW if before.idle < WINDOW else 0.0
    return Row(
        budget=before.budget,
        idle=0,
        accepted=fading * before.accepted + sum(each.accepted for each in drafts),
        tested=fading * before.tested + sum(each.tested for each in drafts),
        found=fading * before.found + sum(each.offered > 0 for each in drafts),
        asked=fading * before.asked + len(drafts),
    )


def idled(row: Row) -> Row:
    """What is known after a step that asked for no draft."""
    return row._replace(idle=row.idle + 1)


def shrunk(hits: float, tries: float, towards: float, weight: float) -> float:
    """A rate, as if ``weight`` tries had come out ``towards``."""
    return (hits + weight * towards) / (tries + weight)


def of_all(rows: Row) -> Belief:
    """What is believed of any row, from all that was seen of all."""
    return Belief(shrunk(rows.accepted, rows.tested, PRIOR, 1.0), shrunk(rows.found, rows.asked, 1.0, 1.0))


def of_row(row: Row, all_rows: Belief) -> Belief:
    """What is believed of one row: its own, and the less it has shown the more of all."""
    alpha = shrunk(row.accepted, row.tested, all_rows.alpha, SHRINKAGE)
    return Belief(alpha, shrunk(row.found, row.asked, all_rows.proposes, SHRINKAGE))
