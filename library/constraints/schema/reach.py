"""How far from its end a text of a schema can be, and how much one token can add: bounds in bytes, where there are any."""

import json
from dataclasses import dataclass
from typing import Any

from penstock.library.constraints.schema.formats import PATTERNS

FORMATS = {"date": 10, "time": 15, "date-time": 26, "hostname": 3, "uuid": 36, "ipv4": 7, "ipv6": 39, "email": 8}
STRINGS = {PATTERNS.get(name, name): size for name, size in FORMATS.items()}
"""The most that is left of a string, by its pattern or format; others may have any amount left."""
ESCAPE, SIGNS, BETWEEN = 8, 4, 4
"""What may be missing beside what is asked for: of a character and a quote; of a number; around a key or an item."""
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
WORDS = {"boolean": "false", "null": "null"}
SHAPING = frozenset(("type", "properties", "items", "anyOf", "oneOf", "allOf", "enum", "const"))


@dataclass(frozen=True)
class Reach:
    """Of all texts of a schema."""

    extent: int
    """The most bytes that are missing, whatever has been written."""
    choice: int
    """The most that one token can add to them by ruling out the shorter of several ways to go on."""
    number: int
    """The most that it can add by going on with a number."""
    leap: int
    """The most that each opening in a token (a quote, a bracket, a comma) can add: what is not required, begun."""


class Unbounded(Exception):
    """Raised with the JSON pointer of what may be any number of bytes from its end."""


def reach(schema: Any) -> Reach:
    """The bounds of a schema that `keywords.enforceable` gave. Raises Unbounded."""
    measure = Measure(schema)
    extent = measure(schema, "", ())
    return Reach(extent, measure.choice, measure.number, measure.leap)


class Measure:
    """The extent of a schema and of those in it; the largest choice, number and leap met on the way."""

    def __init__(self, root: Any) -> None:
        self.root, self.choice, self.number, self.leap = root, 0, 0, 0

    def __call__(self, schema: Any, at: str, above: tuple[str, ...]) -> int:
        """``above``: the references that led here."""
        if not isinstance(schema, dict):
            raise Unbounded(at)
        if "enum" in schema or "const" in schema:
            return self.decided(max(len(json.dumps(value)) for value in schema.get("enum", [schema.get("const")])))
        if "$ref" in schema:
            return self.referred(schema, at, above)
        choices = [part for name in ("anyOf", "oneOf") for part in schema.get(name, ())]
        kinds = schema.get("type", ())
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        if "allOf" in schema or bool(choices) == bool(kinds) or choices and set(schema) & {"properties", "items"}:
            raise Unbounded(at)
        sizes = [self(part, at, above) for part in choices] + [self.of_kind(kind, schema, at, above) for kind in kinds]
        return self.decided(max(sizes)) if len(sizes) > 1 else sizes[0]

    def decided(self, size: int) -> int:
        self.choice = max(self.choice, size)
        return size

    def optional(self, size: int) -> int:
        self.leap = max(self.leap, size)
        return size

    def of_kind(self, kind: str, schema: Any, at: str, above: tuple[str, ...]) -> int:
        """A value of one type."""
        if kind == "object":
            return self.of_object(schema, at, above)
        if kind == "array":
            return self.of_array(schema, at, above)
        if kind == "string":
            return self.of_string(schema, at)
        if kind in WORDS:
            return len(WORDS[kind])
        size = SIGNS + sum(len(f"{schema[name]:f}") for name in BOUNDS if name in schema)
        self.number = max(self.number, size)
        return size

    def of_string(self, schema: Any, at: str) -> int:
        """As many characters as it must have, the rest of an escape, a quote."""
        shape = schema.get("pattern", schema.get("format"))
        if shape is not None and shape not in STRINGS:
            raise Unbounded(at)
        size = int(max(schema.get("minLength", 0), STRINGS.get(shape, 0))) + ESCAPE
        return size if shape is None else self.decided(size)

    def referred(self, schema: Any, at: str, above: tuple[str, ...]) -> int:
        """What a reference stands for; one that leads back to itself nests without end."""
        target = schema["$ref"]
        if target in above or set(schema) & SHAPING:
            raise Unbounded(at)
        found = self.root
        for key in target.removeprefix("#").split("/")[1:]:
            key = key.replace("~1", "/").replace("~0", "~")
            found = found[int(key)] if isinstance(found, list) else found[key]
        return self(found, target.removeprefix("#"), (*above, target))

    def of_object(self, schema: Any, at: str, above: tuple[str, ...]) -> int:
        """Every required property, and any other that may have been begun."""
        properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        required = set(schema.get("required", ()))
        if schema.get("patternProperties") or required - set(properties) or schema.get("minProperties", 0) > len(required):
            raise Unbounded(at)
        given = {name: part for name, part in properties.items() if part is not False}
        parts = {name: self(part, f"{at}/properties/{name}", above) for name, part in given.items()}
        sizes = {name: len(json.dumps(name)) + BETWEEN + size for name, size in parts.items()}
        begun = [self.optional(size) for name, size in sizes.items() if name not in required]
        if more is not False:
            begun.append(self.optional(2 * BETWEEN + self(more, f"{at}/additionalProperties", above)))
        return sum(sizes[name] for name in required) + max([*begun, *sizes.values()], default=0) + BETWEEN

    def of_array(self, schema: Any, at: str, above: tuple[str, ...]) -> int:
        """As many items as it must have, and the one that has been begun."""
        items = schema.get("items", True)
        first = [*schema.get("prefixItems", ()), *(items if isinstance(items, list) else ())]
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        parts = first if rest is False else [*first, rest]
        longest = max((self.optional(BETWEEN + self(part, f"{at}/items", above)) for part in parts), default=0)
        return (int(schema.get("minItems", 0)) + 1) * longest + BETWEEN
