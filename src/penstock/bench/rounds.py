"""Contenders in turn: whatever else a machine does while it measures meets all of them alike."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Lap:
    """What one contender did in one round."""

    seconds: float
    tokens: int = 0
    """Committed, over all rows."""
    forwards: float = 0
    """Of the target, over all rows; prefill is none."""
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage, where they were kept."""
    texts: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    """The tokens themselves, a row each."""

    def record(self) -> dict[str, Any]:
        """As plain data, without the texts."""
        told = {"seconds": self.seconds, "tokens": self.tokens, "forwards": self.forwards, "stages": dict(self.stages)}
        return {name: value for name, value in told.items() if value}


Contender = Callable[[int], Lap]
"""Does its work once, given the number of the round, which seeds what is drawn."""
Laps = dict[str, list[Lap]]


def rounds(contenders: Mapping[str, Contender], count: int, laps: Laps) -> Iterator[str]:
    """Let all contenders run ``count`` rounds after one that is not kept; tells who is done, as they are done.

    ``laps`` is filled on the way, so that a caller who stops early has what was measured; each round begins with another one.
    """
    names = list(contenders)
    for number in range(-1, count):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            lap = contenders[name](max(number, 0))
            if number >= 0:
                laps.setdefault(name, []).append(lap)
            yield name


def whole(laps: Laps, names: Mapping[str, Any]) -> Laps:
    """The laps of the rounds that all contenders finished."""
    count = min((len(laps.get(name, ())) for name in names), default=0)
    return {name: laps.get(name, [])[:count] for name in names}
