"""A JSON Schema as an engine is given it: keywords that it would pass over are refused by name, some are said in other words."""

import json
import re
from collections.abc import Callable
from typing import Any

from penstock.ir.errors import PenstockError
from penstock.library.constraints.schema.formats import FORMATS, PATTERNS
from penstock.library.constraints.schema.patterns import portable

DRAFT = "http://json-schema.org/draft-07/schema"
ONE, LIST, MAP = "one", "list", "map"
PARTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("properties", "patternProperties", "definitions", "$defs"), (MAP,)),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), (LIST,)),
    **dict.fromkeys(("additionalProperties", "additionalItems"), (ONE,)),
    "items": (ONE, LIST),
}
"""Keywords that hold schemas, and how."""
COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
UNWRITTEN = re.compile(r"\\u00[01]")
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
ENFORCED = frozenset(("type", "enum", "const", "required", "pattern", "format", "$ref", *COUNTS, *BOUNDS, *PARTS))
REMARKS = frozenset(("$schema", "$comment", "title", "description", "default", "examples", "readOnly", "writeOnly"))
"""What says nothing of which values are valid."""


def enforceable(schema: Any) -> Any:
    """The schema, said in what an engine enforces. Raises PenstockError naming a keyword that it cannot, and its JSON pointer."""
    walk = Walk()
    said = walk(schema, "")
    if said is False:
        raise refused("", "false allows nothing", "give a schema that some text fits")
    for here, target in walk.references.items():
        if not isinstance(target, str) or target[:1] != "#" or target[1:] not in walk.places:
            raise refused(here, f"{target!r} is no schema of this file", "refer to one by #/definitions/name")
    return {} if said is True else said


class Walk:
    """A schema and those in it, each at its place."""

    def __init__(self) -> None:
        self.places: set[str] = set()
        """Of every schema."""
        self.references: dict[str, Any] = {}
        """What is referred to, by place."""

    def __call__(self, schema: Any, at: str) -> Any:
        self.places.add(at)
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise refused(at, f"{type(schema).__name__} is no schema", "write an object, true or false")
        return {key: value for name, given in schema.items() for key, value in self.keyword(schema, name, given, at).items()}

    def keyword(self, schema: dict[str, Any], name: str, given: Any, at: str) -> dict[str, Any]:
        """What one keyword becomes."""
        here = f"{at}/{escaped(name)}"
        if name in REMARKS or name.startswith("x-") or name == "$id" and not at:
            return self.remark(name, given, here)
        if name == "uniqueItems" and given is False:
            return {}
        if name not in ENFORCED:
            raise refused(here, f"the keyword {name} cannot be enforced", "leave it out, or say it in other keywords")
        if name == "$ref":
            self.references[here] = given
        if check := CHECKS.get(name):
            return check(schema, given, here)
        return {name: self.parts(name, given, here)}

    def remark(self, name: str, given: Any, here: str) -> dict[str, Any]:
        """Nothing; a schema of another draft means other things."""
        if name == "$schema" and str(given).rstrip("#") != DRAFT:
            raise refused(here, f"this is no schema of draft 7: {given}", f"write it for {DRAFT}#")
        return {}

    def parts(self, name: str, given: Any, here: str) -> Any:
        """A keyword's schemas, where it holds any."""
        kinds = PARTS.get(name, ())
        if MAP in kinds and isinstance(given, dict):
            own = self.pattern_of(name)
            return {own(key, f"{here}/{escaped(key)}"): self(part, f"{here}/{escaped(key)}") for key, part in given.items()}
        if LIST in kinds and isinstance(given, list):
            return [self(part, f"{here}/{i}") for i, part in enumerate(given)]
        return self(given, here) if ONE in kinds else given

    def pattern_of(self, name: str) -> Callable[[str, str], str]:
        """How the keys of a map of schemas are said: patterns as patterns are."""
        return said_portably if name == "patternProperties" else written


def said_portably(pattern: Any, here: str) -> str:
    try:
        return portable(pattern)
    except ValueError as error:
        raise refused(here, f"{error} in a pattern", "say it with literals, classes, groups, | and counts") from None


def written(key: str, here: str) -> str:
    literal("a property's name")({}, key, here)
    return key


def pattern(schema: dict[str, Any], given: Any, here: str) -> dict[str, Any]:
    """A pattern of ECMAScript as the engine reads patterns."""
    if schema.get("format") in PATTERNS:
        raise refused(here, "a pattern beside this format cannot be enforced", "keep one of them")
    return {"pattern": said_portably(given, here)}


def format_(schema: dict[str, Any], given: Any, here: str) -> dict[str, Any]:
    """A format the engine knows, or a pattern that says less than the format and nothing else."""
    if given not in FORMATS and given not in PATTERNS:
        known = ", ".join(sorted((*FORMATS, *PATTERNS)))
        raise refused(here, f"the format {given} cannot be enforced", f"there are {known}")
    return {"pattern": PATTERNS[given]} if given in PATTERNS else {"format": given}


def least_properties(schema: dict[str, Any], given: Any, here: str) -> dict[str, Any]:
    """One key written twice counts as one, and the engine cannot tell."""
    if isinstance(given, int | float) and given > len(schema.get("required", ())) + 1:
        what = "the keyword minProperties cannot be enforced for more than the required properties and one"
        raise refused(here, what, "name them in required")
    return {"minProperties": given}


def literal(name: str) -> Callable[[dict[str, Any], Any, str], dict[str, Any]]:
    """Values as they are, if they can be written: a control character that has no letter of its own cannot."""

    def check(schema: dict[str, Any], given: Any, here: str) -> dict[str, Any]:
        if UNWRITTEN.search(json.dumps(given).replace(r"\\", "")):
            raise refused(here, f"a control character in {name} cannot be enforced", "leave it out")
        return {name: given}

    return check


CHECKS: dict[str, Callable[[dict[str, Any], Any, str], dict[str, Any]]] = {
    "pattern": pattern,
    "format": format_,
    "minProperties": least_properties,
    **{name: literal(name) for name in ("enum", "const", "required")},
}


def escaped(key: str) -> str:
    """A key as a JSON pointer has it."""
    return key.replace("~", "~0").replace("/", "~1")


def refused(pointer: str, why: str, fix: str) -> PenstockError:
    return PenstockError(f"schema at {pointer or '/'}: {why}", fix=fix)
