"""What a host op gives, entry by entry, made by a thread while the step goes on.

Entries are made one at a time, in the order in which a walk reads them: the first site of every row, then the second. Whoever
reads one that is not there makes it, behind the one that is being made at most. Entries that nobody can read any more are not
made. A thread is worth its handing over only for entries that take long, which is known from those made before at the same place.
"""

import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from threading import Lock
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from penstock.ir.ops.ahead import Work

Place = tuple[int, ...]
WORTH = 2e-3
"""Seconds that all entries have to take by estimate before a thread is asked.

Two threads take turns at the interpreter: masks of 4,096 tokens take a few tenths of a millisecond a step, and a thread
for them made decoding a sixth slower.
"""
RECENT = 0.1
"""Weight of an entry's time in the estimate for the next ones."""


@dataclass(slots=True)
class Failed:
    """An entry that could not be made, and why."""

    error: Exception


@dataclass(slots=True, weakref_slot=True, eq=False)
class Ahead:
    """The entries of one op's result: ``ahead[b]`` or ``ahead[b, s]``."""

    work: Work
    args: tuple[Any, ...]
    lead: Place
    made: dict[Place, Any] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    @property
    def places(self) -> list[Place]:
        """All entries, in the order in which they are made."""
        return [place[::-1] for place in product(*map(range, self.lead[::-1]))]

    def make(self, place: Place) -> None:
        """Have the entry made, unless it is."""
        with self.lock:
            if place in self.made:
                return
            begin = perf_counter()
            try:
                self.made[place] = self.work.host.meaning(*(entry(arg, place, self.lead) for arg in self.args))
            except Exception as error:  # whoever reads it is told
                self.made[place] = Failed(error)
            self.work.seconds += RECENT * (perf_counter() - begin - self.work.seconds)

    def __getitem__(self, place: int | Place) -> Any:
        """An entry. Raises what making it raised."""
        place = place if isinstance(place, tuple) else (place,)
        if place not in self.made:
            self.make(place)
        found = self.made[place]
        if isinstance(found, Failed):
            raise found.error
        return found

    def whole(self) -> Tensor:
        """All entries, ``[*lead, ...]``."""
        found = [self[place] for place in product(*map(range, self.lead))]
        return torch.stack(found).view(*self.lead, *found[0].shape)


def begun(work: Work, /, *args: Any) -> Ahead:
    ahead = Ahead(work, args, next(tuple(arg.shape) for arg in args if isinstance(arg, Tensor)))
    places = ahead.places
    if work.seconds * len(places) >= WORTH:
        worker().submit(run, weakref.ref(ahead), places)
    return ahead


def awaited(value: Any) -> Tensor:
    found: Tensor = value.whole() if isinstance(value, Ahead) else value
    return found


def run(reference: "weakref.ref[Ahead]", places: Sequence[Place]) -> None:
    """Make entry after entry, as long as somebody can read them."""
    for place in places:
        ahead = reference()
        if ahead is None:
            return
        ahead.make(place)
        del ahead


def entry(value: Any, place: Place, lead: Place) -> Any:
    """An argument at one entry: of a row's value the row's, of what has no rows all."""
    if not isinstance(value, Tensor) or not value.dim():
        return value
    return value[place[: value.dim()]] if value.shape == lead[: value.dim()] else value[place]


@cache
def worker() -> ThreadPoolExecutor:
    """One thread of all that is begun: more would take cores from the models."""
    return ThreadPoolExecutor(1, "penstock-host")

