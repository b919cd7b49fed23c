"""One cell of a benchmark: contenders that are made when it is measured, so that nothing else is in memory."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from penstock.bench.contenders import Generated
from penstock.bench.machine import machine
from penstock.bench.rounds import Contender, Laps, rounds
from penstock.ir.errors import PenstockError

SHORT = 3
"""Rounds of a quick run."""


@dataclass(frozen=True)
class Cell:
    """What is compared, on what terms."""

    name: str
    make: Callable[[], Mapping[str, Contender]]
    """Raises PenstockError where this cell cannot be measured yet, with the reason."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    rounds: int = 9
    quick: bool = False
    """Whether a quick run has it."""
    same: bool = False
    """Whether all contenders must decode the same tokens."""

    def measure(self, quick: bool) -> dict[str, Any]:
        """All rounds, as plain data. Raises AssertionError where contenders that must agree do not."""
        about = {"machine": machine(), "quick": quick, "settings": dict(self.settings)}
        try:
            made = self.make()
        except PenstockError as error:
            return {**about, "absent": error.what}
        laps: Laps = {}
        for _ in rounds(made, min(self.rounds, SHORT) if quick else self.rounds, laps):
            pass
        if self.same:
            agree(self.name, laps)
        took = {"machine": machine(), "compiled": compiled(made)}
        return {**about, **took, "laps": {name: [lap.record() for lap in each] for name, each in laps.items()}}


def compiled(contenders: Mapping[str, Contender]) -> dict[str, Any]:
    """What compiling took of those that compile, most of it in the round that is not kept."""
    made = {name: getattr(each, "decoder", None) or getattr(each, "runner", None) for name, each in contenders.items()}
    reports = {name: getattr(by, "compiled", None) for name, by in made.items() if not isinstance(contenders[name], Generated)}
    return {name: asdict(report) for name, report in reports.items() if report is not None}


def agree(name: str, laps: Laps) -> None:
    """Raises AssertionError naming two contenders that decoded different tokens, or nothing."""
    (first, mine), *others = laps.items()
    assert all(lap.texts for lap in mine), f"{name}: {first} decoded nothing"
    for other, theirs in others:
        assert [lap.texts for lap in mine] == [lap.texts for lap in theirs], f"{name}: {first} and {other} say different tokens"
