"""Text of a spec (YAML, or JSON, which is read as YAML) to located values; hostile text ends in one error.

Events are taken one by one, so that nothing is built before it is known to be harmless: no tags, no aliases, no second
document, no repeated key, bounded depth and count.
"""

import json
from typing import Any

import yaml

from penstock.dsl.located import LocatedList, LocatedMap, LocatedText
from penstock.dsl.scalars import meaning
from penstock.ir.errors import PenstockError

MAX_BYTES, MAX_VALUES, MAX_DEPTH = 1_000_000, 20_000, 40
ELSEWHERE = "keep data in files of their own"


def read(text: str, name: str) -> Any:
    """The one document of a text; places are called after ``name``."""
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise too_large(name)
    try:
        return Reading(as_yaml(text), name).document()
    except yaml.MarkedYAMLError as error:
        where = place(name, error.problem_mark or error.context_mark)
        raise PenstockError(f"not readable as YAML: {error.problem or error.context}", where=where) from None
    except yaml.reader.ReaderError as error:
        lines = text[: error.position].split("\n")
        where = f"{name}:{len(lines)}:{len(lines[-1]) + 1}"
        raise PenstockError("not a text: a control character", where=where, fix="save the spec as UTF-8 text") from None


def too_large(name: str) -> PenstockError:
    return PenstockError(f"the spec is larger than {MAX_BYTES} bytes", where=name, fix=ELSEWHERE)


def as_yaml(text: str) -> str:
    """JSON may be indented by tabs, YAML may not; in valid JSON no string holds a raw tab."""
    if "\t" not in text or not text.lstrip().startswith("{"):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text.replace("\t", " ")


def place(name: str, mark: Any) -> str:
    """``file:line:col``, counted from 1."""
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name


class Reading:
    """One pass over the events of a text."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.loader = yaml.SafeLoader(text)
        self.seen = self.depth = 0

    def next(self) -> Any:
        """The next event."""
        try:
            return self.loader.get_event()  # type: ignore[no-untyped-call]
        except (ValueError, OverflowError):  # from chr(), which YAML's reader gives whatever stands after a \U
            where = place(self.name, self.loader.get_mark())
            raise PenstockError("there is no such character", where=where, fix="the last one is \\U0010FFFF") from None

    def error(self, event: Any, what: str, fix: str | None = None) -> PenstockError:
        return PenstockError(what, where=place(self.name, event.start_mark), fix=fix)

    def tagged(self, event: Any) -> PenstockError:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        return self.error(event, f"tag {tag}: specs have no tags", "write a plain value")

    def document(self) -> Any:
        """The value of the only document."""
        self.next()  # the stream's start
        start = self.next()
        if isinstance(start, yaml.StreamEndEvent):
            raise self.error(start, "the spec is empty", "begin with `penstock: 1`")
        value = self.value(self.next())
        self.next()  # the document's end
        end = self.next()
        if not isinstance(end, yaml.StreamEndEvent):
            raise self.error(end, "a second document begins here", "keep one spec in a file")
        return value

    def value(self, event: Any) -> Any:
        """What begins with an event."""
        self.seen += 1
        if self.seen > MAX_VALUES:
            raise self.error(event, f"the spec holds more than {MAX_VALUES} values", ELSEWHERE)
        if isinstance(event, yaml.AliasEvent):
            raise self.error(event, f"alias *{event.anchor}: specs have no aliases", "write the value out")
        if event.tag is not None and (not isinstance(event, yaml.ScalarEvent) or event.tag != "!"):
            raise self.tagged(event)
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(event, f"nested deeper than {MAX_DEPTH}")
        found = self.mapping(event) if isinstance(event, yaml.MappingStartEvent) else self.sequence(event)
        self.depth -= 1
        return found

    def scalar(self, event: Any) -> Any:
        """A quoted scalar is text, a plain one what its word means."""
        try:
            value = meaning(event.value) if event.style is None and event.implicit[0] else joined(event.value)
        except ValueError:
            raise self.error(event, "a number too long to read") from None
        if not isinstance(value, str):
            return value
        text = LocatedText(value)
        text.place = place(self.name, event.start_mark)
        return text

    def sequence(self, start: Any) -> LocatedList:
        items = LocatedList(place(self.name, start.start_mark))
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            items.put(self.value(event), place(self.name, event.start_mark))
        return items

    def mapping(self, start: Any) -> LocatedMap:
        entries = LocatedMap(place(self.name, start.start_mark))
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key, where = self.key(event), place(self.name, event.start_mark)
            if key in entries:
                first = entries.key_places[key]
                raise self.error(event, f"{key} is given twice, first at {first}", "keep one of them")
            event = self.next()
            entries.put(key, where, self.value(event), place(self.name, event.start_mark))
        return entries

    def key(self, event: Any) -> str:
        """Keys are words, whatever they look like: ``1`` and ``true`` are text here, as in JSON."""
        if not isinstance(event, yaml.ScalarEvent):
            raise self.error(event, "a key must be a word", "write `key: value`")
        if event.tag is not None:
            raise self.tagged(event)
        return joined(event.value)


def joined(text: str) -> str:
    r"""Surrogate pairs, as JSON writes them (``\ud83d\ude00``), as the characters they stand for."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
