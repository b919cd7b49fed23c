"""Seconds by stage: a generated step tells a clock whenever another stage's work begins."""

from collections.abc import Callable
from time import perf_counter

Tick = Callable[[str], None]
IDLE = ""
"""Between steps nobody's time is kept."""


class Clock:
    """Adds up the time between one tick and the next for the stage that the first one named."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.stage, self.since = IDLE, perf_counter()

    def __call__(self, stage: str) -> None:
        """From now on the time is this stage's."""
        now = perf_counter()
        if self.stage:
            self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self.since
        self.stage, self.since = stage, now

    def restart(self) -> None:
        """Forget all."""
        self.seconds, self.stage = {}, IDLE
