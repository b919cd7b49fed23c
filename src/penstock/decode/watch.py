"""What is seen of a batch while it is decoded: when each row ends, and the probabilities of its tokens."""

from time import perf_counter
from typing import Any, NamedTuple

from penstock.backends.eager.clock import Clock
from penstock.ir.rows import State
from penstock.ir.state import RUNNING
from penstock.library.taps.logprobs import LOGPROBS


class Seen(NamedTuple):
    """What was seen of one row."""

    seconds: float
    """Until it ended."""
    stages: dict[str, float]
    """Of these, the seconds of each stage, for the whole batch."""
    logprobs: list[float] | None
    """Of every token, if they were wanted."""


class Watch:
    """Sees the states of one batch in order, the first before any step."""

    def __init__(self, clock: Clock, logprobs: bool) -> None:
        clock.restart()
        self.clock, self.began, self.wanted = clock, perf_counter(), logprobs
        self.ends: dict[int, tuple[float, dict[str, float]]] = {}
        self.logprobs: dict[int, list[float]] = {}

    def see(self, state: State) -> None:
        """Note what the last step changed."""
        seq: Any = state["seq"]
        now = perf_counter() - self.began
        for row, status in enumerate(seq.status.tolist()):
            if status != RUNNING and row not in self.ends:
                self.ends[row] = now, dict(self.clock.seconds)
        if self.wanted:
            last: Any = state[f"reg:{LOGPROBS}"]
            for row, (length, values) in enumerate(zip(seq.length.tolist(), last.value.tolist(), strict=True)):
                known = self.logprobs.setdefault(row, [])
                known += values[: length - len(known)]

    def of(self, row: int) -> Seen:
        """What was seen of a row that has ended."""
        return Seen(*self.ends[row], self.logprobs.get(row))
