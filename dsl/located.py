"""Values read from a text that remember where they stood, so that any later complaint can point there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class LocatedText(str):
    """A string with its place."""

    place: str


class LocatedMap(dict[str, Any]):
    """A mapping with the place (``file:line:col``) of itself, of its keys and of its values."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place
        self.key_places: dict[str, str] = {}
        self.places: dict[str, str] = {}

    def put(self, key: str, key_place: str, value: Any, place: str) -> None:
        """Add one entry."""
        self[key], self.key_places[key], self.places[key] = value, key_place, place


def only(entries: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Some entries of a mapping, with their places if it has any."""
    found = {key: entries[key] for key in keys if key in entries}
    if not isinstance(entries, LocatedMap):
        return found
    kept = LocatedMap(entries.place)
    for key, value in found.items():
        kept.put(key, entries.key_places[key], value, entries.places[key])
    return kept


class LocatedList(list[Any]):
    """A sequence with the place of itself and of its items."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place
        self.places: list[str] = []

    def put(self, value: Any, place: str) -> None:
        """Append one item."""
        self.append(value)
        self.places.append(place)


def inside(value: Any, step: object) -> bool:
    """Whether a step of a path leads into this value."""
    if isinstance(value, Mapping):
        return step in value
    return isinstance(step, int) and isinstance(value, Sequence) and not isinstance(value, str) and step < len(value)


def follow(root: Any, path: Iterable[object]) -> tuple[tuple[object, ...], str | None, Any]:
    """``(path, place, value)`` as far as a path leads; the place of an entry is its value's.

    Steps that lead nowhere (names of union members) are passed over.
    """
    taken: tuple[object, ...] = ()
    value, place = root, getattr(root, "place", None)
    for step in path:
        if inside(value, step):
            if isinstance(value, LocatedMap | LocatedList):
                places: Any = value.places
                place = places[step]
            value, taken = value[step], (*taken, step)
    return taken, place, value


def key_place(root: Any, path: Sequence[object]) -> str | None:
    """The place of the key that a path ends with."""
    _, place, holder = follow(root, path[:-1])
    return holder.key_places.get(str(path[-1]), place) if isinstance(holder, LocatedMap) else place
