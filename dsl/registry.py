"""All stages there are, by kind: those of the library, of installed packages, and of whoever subclassed Stage."""

import importlib
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from penstock.ir.errors import PenstockError

LIBRARY, GROUP = "penstock.library", "penstock.stages"

_classes: dict[str, Any] = {}


def register(cls: Any) -> None:
    """Make a stage class known by its kind; a kind belongs to one class."""
    known = _classes.setdefault(cls.kind, cls)
    if known is not cls:
        raise TypeError(f"stage kind {cls.kind!r} is taken by {known.__module__}.{known.__qualname__}")


@cache
def discover() -> None:
    """Import the library (by name: it imports this package) and every entry point of ``penstock.stages``."""
    importlib.import_module(LIBRARY)
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            raise PenstockError(
                f"the stages of {entry.value} cannot be imported: {error}",
                where=f"entry point {entry.name} of {GROUP}",
                fix=f"mend or uninstall {entry.dist.name if entry.dist else entry.name}",
            ) from error


def stage_class(kind: str) -> Any:
    """The class of a kind, or None."""
    if kind not in _classes:
        discover()
    return _classes.get(kind)


def stage_classes() -> dict[str, Any]:
    """Every stage class by kind, in alphabetical order."""
    discover()
    return dict(sorted(_classes.items()))


def nearest(word: str, words: Any) -> str:
    """A suggestion: the words most like this one, or an empty text."""
    found = get_close_matches(word, sorted(words), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(found)}?" if found else ""
