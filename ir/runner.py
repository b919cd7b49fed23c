"""The Runner protocol: what a host program may do with states, whatever runs their steps.

A program (best-of-N, A*) is host code: it starts rows, has them decoded until they end or pause, and forks, takes and joins them
in between. Rows of one state are one batch, so branches that a program runs together cost one forward a step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from penstock.ir.rows import State


@dataclass(frozen=True)
class Request:
    """One row to decode: its prompt as every view sees it."""

    prompts: Mapping[str, Sequence[int]]
    limit: int
    key: int | None = None
    """The caller's own noise key; else one is derived from seed, prompt and occurrence."""
    params: Mapping[str, float] = field(default_factory=dict)
    canvas: Sequence[int] | None = None
    """What a pipeline on a canvas is to fill: ids, the mask's where a token is wanted; by default ``limit`` of these."""


@dataclass(frozen=True)
class Decoded:
    """What became of a row."""

    tokens: list[int]
    status: str
    steps: int
    """Steps the row took: forwards of the target, where it has one a step."""


class Runner(Protocol):
    """Runs one pipeline's step on states. States are linear: what an operation takes is consumed, unless it says otherwise."""

    def start(self, requests: Sequence[Request]) -> State:
        """One row a request, prompts prefilled."""
        ...

    def generate(self, state: State) -> State:
        """Step until no row runs; rows that have ended or paused stay as they are."""
        ...

    def resume(self, state: State, limit: int | None = None) -> State:
        """Paused rows run again; with a higher ``limit`` rows may grow to it, those too that the old one had ended."""
        ...

    def fork(self, state: State, n: int) -> State:
        """Every row n times in place; child 0 keeps its key, the others derive theirs from it and from where it stands."""
        ...

    def take(self, state: State, rows: Sequence[int]) -> State:
        """These rows, copied; the state stays."""
        ...

    def drop(self, state: State, rows: Sequence[int]) -> State:
        """The state without these rows."""
        ...

    def put(self, state: State, rows: Sequence[int], other: State) -> State:
        """The state with these rows replaced by those of another, such as rows that have ended by new requests."""
        ...

    def cat(self, states: Sequence[State]) -> State:
        """The rows of all these states as one batch; they may differ in length and in the size of their buffers."""
        ...

    def evict(self, state: State) -> State:
        """The state without what models computed, which the next `resume` computes anew: texts are small, caches are not."""
        ...

    def read(self, state: State) -> Sequence[Decoded]:
        """Each row's tokens and status; the state stays."""
        ...
