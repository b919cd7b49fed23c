"""A closed loop around the length of drafts: the core of SmartSpec (arXiv 2406.14066), on the machine it runs on.

Every step is timed. A step as wide as this one is first tried with and without drafts; then the length with the most expected tokens
for each second is taken. Where that is none, a probe is made now and then, at a fixed share of the time.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

from penstock.ir.ops.pacing import Row, Taken
from penstock.library.pacing.acceptance import WINDOW, Belief, idled, of_all, of_row, seen
from penstock.library.pacing.cost import Cost, Load
from penstock.library.pacing.goodput import best

PROBE = 2
"""Tokens that a probe drafts."""
SHARE = 0.02
"""How much of the time probes may take; what a probe takes includes catching up on the text that its drafter missed."""
PATIENCE = 512
"""The most steps between probes."""


class Controller:
    """Decides for one pipeline on one machine, batch after batch; ``now`` is its clock."""

    def __init__(self, longest: int, by_row: bool = False, now: Callable[[], float] = perf_counter) -> None:
        self.longest, self.by_row, self.now = longest, by_row, now
        self.probe = min(PROBE, longest)
        self.cost, self.all_rows = Cost(), Row()
        """What steps take, and what was seen of all rows together."""
        self.resting: set[int] = set()
        """The numbers of rows at which drafts are not worth it."""
        self.price = self.plain = 0.0
        """Seconds that the last probe took more than a plain step, and that plain steps have taken since."""

    def opening(self, rows: int) -> int:
        """As the last batch of as many rows went on."""
        load = Load(rows, 0.0)
        if rows in self.resting or not self.surveyed(load):
            return 0 if rows in self.resting else self.probe
        return max(self.chosen([of_all(self.all_rows)] * rows, load))

    def after(self, step: Taken) -> list[Row]:
        """Learn from a step, and decide on the next."""
        load = Load(len(step.rows), float(sum(step.text)))
        self.timed(step, load)
        rows = [self.learnt(step, row) for row in range(load.rows)]
        live = [row for row, on in enumerate(step.live) if on]
        budgets = dict(zip(live, self.lengths([rows[row] for row in live], load), strict=True))
        return [row._replace(budget=budgets.get(i, 0)) for i, row in enumerate(rows)]

    def learnt(self, step: Taken, row: int) -> Row:
        """What is kept of a row after a step."""
        before = step.rows[row]
        if not step.live[row]:
            return before
        return seen(before, [step.tried[row]]) if min(before.budget, step.length) else idled(before)

    def timed(self, step: Taken, load: Load) -> None:
        """Note what the step took: for the cost of such steps, or, where a drafter had to catch up, for the price of a probe."""
        seconds, live = self.now() - step.began, [row for row, on in enumerate(step.live) if on]
        if step.length:
            self.all_rows = seen(self.all_rows, [step.tried[row] for row in live])
        else:
            self.all_rows, self.plain = idled(self.all_rows), self.plain + seconds
        if step.length and any(step.rows[row].idle for row in live):
            plain = self.cost.seconds(load, 0) if self.surveyed(load) else 0.0
            self.price, self.plain = max(seconds - plain, 0.0), 0.0
        elif not any(step.new[row] for row in live):
            self.cost.add(load, step.length, seconds)

    def surveyed(self, load: Load) -> bool:
        """Whether steps of so many rows were timed with drafts and without."""
        return all(self.cost.known(load.rows, length) for length in (self.probe, 0))

    def lengths(self, rows: Sequence[Row], load: Load) -> tuple[int, ...]:
        """How far the next draft of each row goes."""
        if not self.surveyed(load):
            return (0 if self.cost.known(load.rows, self.probe) else self.probe,) * len(rows)
        if load.rows in self.resting and not self.due():
            return (0,) * len(rows)
        if load.rows in self.resting:
            self.resting.discard(load.rows)
            return (self.probe,) * len(rows)
        everyone = of_all(self.all_rows)
        found = self.chosen([of_row(row, everyone) for row in rows], load)
        if not any(found):
            self.resting.add(load.rows)
        return found

    def due(self) -> bool:
        """Whether it is time for a probe: plain steps have paid for it, or it was put off for long enough."""
        idle = self.all_rows.idle
        return idle >= PATIENCE or (idle >= WINDOW and SHARE * self.plain >= self.price)

    def chosen(self, beliefs: Sequence[Belief], load: Load) -> tuple[int, ...]:
        """The lengths that are worth most."""
        return best(beliefs, lambda length: self.cost.seconds(load, length), self.longest, by_row=self.by_row)
