"""A quantity that was measured several times."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any


@dataclass(frozen=True)
class Spread:
    """The middle of some measurements and how far they lie apart."""

    median: float
    low: float
    """A quarter of the measurements lie below."""
    high: float
    """A quarter lie above."""
    least: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Raises ValueError where nothing was measured."""
        if not values:
            raise ValueError("a spread of no measurements")
        low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
        return cls(median(values), low, high, min(values), len(values))

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """``above / below`` round by round: what slowed the machine in a round slowed both."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])
