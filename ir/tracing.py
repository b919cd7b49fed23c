"""Which tracer, if any, is recording: one context variable that ops look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol


class Recorder(Protocol):
    """What an op needs of a tracer."""

    def record(self, op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...


_active: ContextVar[Recorder | None] = ContextVar("tracer", default=None)


def active() -> Recorder | None:
    """The tracer that is recording, or None."""
    return _active.get()


@contextmanager
def recording(tracer: Recorder | None) -> Iterator[None]:
    """Make this tracer the active one (None: ops run their meaning)."""
    token = _active.set(tracer)
    try:
        yield
    finally:
        _active.reset(token)
