"""An op: a signature and a meaning in torch, side by side.

Called on tensors an op runs its meaning; called while a step is being traced it records one node.
Handles (sequence, views, registers, ...) lead the parameters; an author names them, the tracer threads them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from penstock.ir import tracing

Category = Literal["tensor", "random", "forward", "state", "host"]


@dataclass(frozen=True, eq=False)
class Op:
    """A node's target: what it consumes and borrows, and what it computes."""

    name: str
    category: Category
    meaning: Callable[..., Any]
    consumes: int = 0
    """How many leading parameters are handles that this op returns a new version of."""
    borrows: int = 0
    """How many handles, after those, it only reads."""
    couples_rows: bool = False
    takes_live: bool = False
    """The tracer passes ``live``, the rows that run."""
    outcomes: Callable[..., Any] | None = None
    """Random ops only: every outcome with its weight, for the enumerating interpreter."""
    reads: bool = True
    """Random ops only: an address is read once in a world; what only guesses at a draw leaves it to be read."""

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def __module__(self) -> str:  # type: ignore[override]
        return "penstock"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tracer = tracing.active()
        return self.meaning(*args, **kwargs) if tracer is None else tracer.record(self, args, kwargs)

    def __repr__(self) -> str:
        return self.name


def op(
    category: Category = "tensor",
    *,
    consumes: int = 0,
    borrows: int = 0,
    couples_rows: bool = False,
    takes_live: bool = False,
    outcomes: Callable[..., Any] | None = None,
    reads: bool = True,
) -> Callable[[Callable[..., Any]], Op]:
    """Make an op of a function: its body is the meaning, the oracle of every backend."""

    def make(meaning: Callable[..., Any]) -> Op:
        made = Op(meaning.__name__, category, meaning, consumes, borrows, couples_rows, takes_live, outcomes, reads)
        object.__setattr__(made, "__doc__", meaning.__doc__)
        return made

    return make
