"""Lengths in turn, whatever comes of them."""

from collections.abc import Sequence

from penstock.ir.ops.pacing import Row, Taken


class Rota:
    """Each of these lengths in turn, by the length of a row's text and its place in the batch: a drafter's pace before it is
    bound to a machine, so that a proof goes through every length, and sees no clock.
    """

    def __init__(self, turns: tuple[int, ...]) -> None:
        self.turns = turns

    def now(self) -> float:
        return 0.0

    def opening(self, rows: int) -> int:
        """The first."""
        return self.turns[0]

    def idles(self, began: float, text: Sequence[int]) -> bool:
        """It never rests."""
        return False

    def after(self, step: Taken) -> list[Row]:
        """Row after row, the turn that its text has come to."""
        return [Row(self.turns[(length + place) % len(self.turns)]) for place, length in enumerate(step.text)]
