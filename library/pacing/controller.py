"""A closed loop around the length of drafts: the core of SmartSpec (arXiv 2406.14066), on the machine it runs on.

Every step is timed. Steps of a batch as wide as this one are first tried with drafts and without; then the length with the most
expected tokens for each second is taken. Where that is none, a probe is made now and then, at a fixed share of the time; where it
is some, plain steps are timed again now and then, for one that was timed while the machine was busy would never be taken again.
"""

from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter

from penstock.ir.ops.pacing import Row, Taken
from penstock.library.pacing.acceptance import WINDOW, Belief, idled, of_all, of_row, seen
from penstock.library.pacing.cost import Cost, Load
from penstock.library.pacing.goodput import best

PROBE = 2
"""Tokens that a probe drafts."""
SHARE = 0.01
"""How much of the time of plain steps probes may cost, with what their drafter has to read of the text that it missed. Where that
alone costs more, the next probe is of later rows, which have less to read."""

PATIENCE = 32
"""Steps of a rest for each that is asked whether a probe is due."""
DOUBT, TRUST = 32, 1024
"""Steps with drafts after which plain ones are timed again: so few at first, then twice as many each time, so many at last."""


class Controller:
    """Decides for one pipeline on one machine, batch after batch; ``now`` is its clock."""

    def __init__(self, longest: int, by_row: bool = False, now: Callable[[], float] = perf_counter) -> None:
        self.longest, self.by_row, self.now = longest, by_row, now
        self.probe = min(PROBE, longest)
        self.cost, self.all_rows = Cost(), Row()
        """What steps take, and what was seen of all rows together."""
        self.resting: set[int] = set()
        """The numbers of rows at which drafts are not worth it."""
        self.saved = 0.0
        """Seconds that plain steps have put by for the next probe; less than none where the last cost more than there was."""
        self.spent, self.drafted = 0.0, 0
        """Seconds that steps since the last rest took more than plain ones, and how many there were."""
        self.reading: deque[float] = deque([0.0], maxlen=5)
        """Seconds that drafters took for each token that they had missed, of late."""
        self.unasked = 0
        """Steps of a rest since one was asked."""
        self.untimed, self.trusted = 0, DOUBT
        """Steps with drafts since plain ones were timed, and how many there may be."""

    def opening(self, rows: int) -> int:
        """As the last batch of as many rows went on."""
        load = Load(rows, 0.0)
        if rows in self.resting or not self.surveyed(load):
            return 0 if rows in self.resting else self.probe
        return max(self.chosen([of_all(self.all_rows)] * rows, load))

    def idles(self, began: float, text: Sequence[int]) -> bool:
        """A rest is asked now and then whether a probe is due; what is done in each of its steps is what it costs."""
        if len(text) not in self.resting or self.unasked + 1 == PATIENCE:
            return False
        self.unasked += 1
        self.saved += SHARE * (self.now() - began)
        return True

    def after(self, step: Taken) -> list[Row]:
        """Learn from a step, and decide on the next."""
        load = Load(len(step.rows), float(sum(step.text)))
        live = [row for row, on in enumerate(step.live) if on]
        self.timed(step, live, load)
        rows = list(step.rows)
        for row in live:
            rows[row] = self.learnt(step, row)
        for row, length in zip(live, self.lengths([rows[row] for row in live], load), strict=True):
            if rows[row].budget != length:
                rows[row] = rows[row]._replace(budget=length)
        return rows

    def learnt(self, step: Taken, row: int) -> Row:
        """What is kept of a row after a step."""
        before = step.rows[row]
        if not step.length:
            return idled(before, 1 + step.text[row] * step.new[row])
        return seen(before, [step.tried[row]]) if before.budget else before

    def timed(self, step: Taken, live: Sequence[int], load: Load) -> None:
        """Note what the step took, of steps like it or of a drafter that had to read what it had missed."""
        seconds, behind = self.now() - step.began, max((step.rows[row].behind for row in live), default=0)
        if step.length:
            self.all_rows, self.unasked = seen(self.all_rows, [step.tried[row] for row in live]), 0
            self.doubt(load)
        else:
            self.idled(seconds)
        if step.length and self.surveyed(load):
            self.charge(seconds, behind, step.length, load)
        if step.length and behind:
            return
        if any(step.new[row] for row in live):
            self.cost.warm(load, step.length)
        else:
            self.cost.add(load, step.length, seconds)

    def idled(self, seconds: float) -> None:
        """A step drafted nothing, as those before it that were not asked, and puts by its share."""
        self.all_rows, self.saved = idled(self.all_rows, 1 + self.unasked), self.saved + SHARE * seconds
        self.unasked = self.untimed = 0

    def doubt(self, load: Load) -> None:
        """What plain steps take was seen the longer ago the more steps draft: after so many they are timed anew."""
        self.untimed += 1
        if self.untimed >= self.trusted:
            self.untimed, self.trusted = 0, min(2 * self.trusted, TRUST)
            self.cost.forget(load.rows, 0)

    def charge(self, seconds: float, behind: float, length: int, load: Load) -> None:
        """What a step took more than a plain one, and of that what its drafter had to read first."""
        costs = self.cost.seconds(load, length)
        self.spent, self.drafted = self.spent + seconds - costs[0], self.drafted + 1
        if behind:
            self.reading.append(max(seconds - costs[-1], 0.0) / behind)

    def rest(self, rows: int) -> None:
        """Drafts are not worth it: what it took to see that is paid, and what was put by beyond it is no one's."""
        self.resting.add(rows)
        self.saved = min(self.saved - self.spent, 0.0) if self.drafted < WINDOW else 0.0
        self.spent, self.drafted = 0.0, 0

    def surveyed(self, load: Load) -> bool:
        """Whether steps of so many rows were timed with drafts and without."""
        return all(self.cost.known(load.rows, length) for length in (self.probe, 0))

    def lengths(self, rows: Sequence[Row], load: Load) -> tuple[int, ...]:
        """How far the next draft of each row goes."""
        if not self.surveyed(load):
            return (0 if self.cost.known(load.rows, self.probe) else self.probe,) * len(rows)
        if load.rows in self.resting:
            if not self.due(rows, load):
                return (0,) * len(rows)
            self.resting.discard(load.rows)
            return (self.probe,) * len(rows)
        everyone = of_all(self.all_rows)
        found = self.chosen([of_row(row, everyone) for row in rows], load)
        if not any(found):
            self.rest(load.rows)
        return found

    def due(self, rows: Sequence[Row], load: Load) -> bool:
        """Whether what was seen is forgotten, and plain steps have put by what a probe is going to cost."""
        if self.all_rows.behind < WINDOW:
            return False
        plain, *_, probe = self.cost.seconds(load, self.probe)
        return self.saved >= probe - plain + median(self.reading) * max((row.behind for row in rows), default=0)

    def chosen(self, beliefs: Sequence[Belief], load: Load) -> tuple[int, ...]:
        """The lengths that are worth most."""
        return best(beliefs, self.cost.seconds(load, self.longest), by_row=self.by_row)
