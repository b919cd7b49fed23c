"""What a step takes: a line in what it reads and computes, fitted to medians of what steps took on this machine."""

from collections import deque
from dataclasses import dataclass
from itertools import accumulate, combinations
from statistics import median
from typing import Any

import numpy as np

KEPT = 15
"""Times kept of each kind of step; their median counts."""
ENOUGH = 3
"""Times after which a kind of step is known."""
REFIT = 256
"""Steps between fits, beside those for what has just become known."""


@dataclass(frozen=True)
class Load:
    """What a step has to do whatever is drafted."""

    rows: int
    context: float
    """Tokens of text of all rows."""

    def features(self, length: int) -> tuple[float, ...]:
        """Text read, columns computed (every row is as wide as the widest), rows, one, forwards of the drafter."""
        return self.context, self.rows * (length + 1), self.rows, 1.0, length


class Cost:
    """Seconds of a step by load and draft length; what was measured at a length outweighs the line there."""

    def __init__(self) -> None:
        self.times: dict[tuple[int, int], deque[tuple[float, float]]] = {}
        """``(context, seconds)`` of the latest steps, by rows and length."""
        self.met: set[tuple[int, int]] = set()
        """The kinds of step that were taken at all."""
        self.line: Any = None
        """Seconds a unit of each feature; None before the first fit."""
        self.hull = (0, 0), (0.0, 0.0)
        """The fewest and the most rows, and tokens of context, that were measured."""
        self.stairs: dict[tuple[int, int], float] = {}
        """How many times its seconds on the line a kind of step takes: kernels have sizes that they like."""
        self.added = 0

    def add(self, load: Load, length: int, seconds: float) -> None:
        """A step was taken; the first of its kind warms up and does not count."""
        kind = load.rows, length
        if kind not in self.met:
            self.warm(load, length)
            return
        times = self.times.setdefault(kind, deque(maxlen=KEPT))
        times.append((load.context, seconds))
        self.added += 1
        if len(times) == ENOUGH or self.added % REFIT == 0:
            self.fit()

    def warm(self, load: Load, length: int) -> None:
        """A step was taken that was no measure of its kind, yet made what steps of its kind need."""
        self.met.add((load.rows, length))

    def forget(self, rows: int, length: int) -> None:
        """Steps of this kind have to be timed anew."""
        self.times.pop((rows, length), None)

    def known(self, rows: int, length: int) -> bool:
        """Whether steps of this kind were timed often enough."""
        return len(self.times.get((rows, length), ())) >= ENOUGH

    def fit(self) -> None:
        """The line through the medians of all kinds of step, and how far each kind is off it."""
        medians = {kind: tuple(map(median, zip(*times, strict=True))) for kind, times in self.times.items()}
        features = [Load(rows, context).features(length) for (rows, length), (context, _) in medians.items()]
        self.line = nonnegative(np.array(features), np.array([seconds for _, seconds in medians.values()])).tolist()
        rows, contexts = [kind[0] for kind in medians], [context for context, _ in medians.values()]
        self.hull = (min(rows), max(rows)), (min(contexts), max(contexts))
        self.stairs = {
            kind: seconds / self.straight(Load(kind[0], context), kind[1])[-1]
            for kind, (context, seconds) in medians.items()
            if len(self.times[kind]) >= ENOUGH
        }

    def straight(self, load: Load, longest: int) -> list[float]:
        """The line at every length up to ``longest``, for a load no further out than what was measured."""
        (few, many), (short, long) = self.hull
        rows, context = min(max(load.rows, few), many), min(max(load.context, short), long)
        read, computed, row, always, drafted = self.line
        plain, each = context * read + rows * (computed + row) + always, rows * computed + drafted
        return [max(plain + each * length, 1e-9) for length in range(longest + 1)]

    def seconds(self, load: Load, longest: int) -> list[float]:
        """What a step will take whose longest draft has 0, 1, 2 ... tokens; never less than a shorter one, whatever was timed."""
        line, stairs = self.straight(load, longest), self.stairs
        return list(accumulate((each * stairs.get((load.rows, length), 1.0) for length, each in enumerate(line)), max))


def nonnegative(features: Any, values: Any) -> Any:
    """The least squares fit without negative coefficients, ``[n,f], [n] -> [f]``: the best over all sets of features.

    A negative coefficient would make a large load look free where it was not measured.
    """
    scale = np.abs(features).max(0)
    scaled, count = features / np.where(scale > 0, scale, 1), features.shape[1]
    best, least = np.zeros(count), float(values @ values)
    for chosen in (subset for size in range(1, min(features.shape) + 1) for subset in combinations(range(count), size)):
        found = np.linalg.lstsq(scaled[:, chosen], values, rcond=None)[0]
        left = float(((scaled[:, chosen] @ found - values) ** 2).sum())
        if (found >= 0).all() and left < least * (1 - 1e-9):
            best, least = np.zeros(count), left
            best[list(chosen)] = found
    return best / np.where(scale > 0, scale, 1)
