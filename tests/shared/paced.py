"""A simulated machine under a pace of drafts: a clock that steps move on, and acceptance drawn position by position."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from penstock.ir.ops.pacing import Row, Taken, Tried, rests
from penstock.library.pacing.acceptance import idled


@dataclass
class Machine:
    """Batches of rows that draft and verify in no time but its own.

    A step takes ``plain`` seconds and ``column`` more for each column beyond one a row; a draft takes ``draft`` a token, and
    ``behind`` for each token that its drafter has missed.
    """

    plain: float = 1.0
    column: float = 0.02
    draft: float = 0.1
    behind: float = 0.002
    noise: float = 0.0
    """The spread of what steps take, as a factor."""
    time: float = 0.0
    draws: Any = field(default_factory=lambda: np.random.default_rng(0))

    def now(self) -> float:
        return self.time

    def seconds(self, rows: int, length: int, missed: float) -> float:
        """What a step takes."""
        drafting = length * self.draft + self.behind * rows * missed if length else 0.0
        return self.plain + self.column * rows * (length + 1) + drafting

    def decode(self, pace: Any, alphas: Callable[[int], list[float]], steps: int, finds: float = 1.0) -> tuple[float, list[int]]:
        """``(tokens a second, lengths)`` of so many steps; ``alphas(step)``: the chance of acceptance by row."""
        count = len(alphas(0))
        rows, text, began, tokens, lengths = [Row(pace.opening(count))] * count, [10] * count, self.time, 0, list[int]()
        for step in range(steps):
            length = int(max(row.budget for row in rows))
            since, new = self.time, [step == 0] * count
            missed = max(row.behind for row in rows)
            self.time += self.seconds(count, length, missed) * float(np.exp(self.noise * self.draws.standard_normal()))
            tried = [self.tried(int(row.budget), alpha, finds) for row, alpha in zip(rows, alphas(step), strict=True)]
            taken = Taken(length, since, text, new, [True] * count, rows, tried)
            rows = [idled(row) for row in rows] if rests(pace, length, since, text, new) else pace.after(taken)
            text = [n + each.accepted + 1 for n, each in zip(text, tried, strict=True)]
            tokens, lengths = tokens + sum(each.accepted + 1 for each in tried), [*lengths, length]
        return tokens / (self.time - began), lengths

    def tried(self, budget: int, alpha: float, finds: float) -> Tried:
        """Positions are tested one after the other up to the first refusal."""
        if not budget or self.draws.random() >= finds:
            return Tried(0, 0, 0)
        accepted = int(min(self.draws.geometric(1 - alpha) - 1, budget)) if alpha < 1 else budget
        return Tried(budget, accepted, min(accepted + 1, budget))


class Fixed:
    """The same length in every step."""

    def __init__(self, length: int) -> None:
        self.length = length

    def now(self) -> float:
        return 0.0

    def opening(self, rows: int) -> int:
        return self.length

    def idles(self, began: float, text: Sequence[int]) -> bool:
        return False

    def after(self, step: Taken) -> list[Row]:
        return [Row(self.length)] * len(step.rows)
