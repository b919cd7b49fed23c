"""Pydantic's many complaints about one value as one error with a place and a remedy."""

import json
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from penstock.dsl.fields import fields_beside
from penstock.dsl.located import follow, key_place
from penstock.dsl.registry import nearest
from penstock.dsl.spelling import SPELLING
from penstock.ir.errors import PenstockError

Path = tuple[object, ...]
WORDS = {
    "extra_forbidden": "there is no such field",
    "missing": "is missing",
    "too_short": "has too few items",
    "too_long": "has too many items",
    "string_pattern_mismatch": "is not spelt like a name",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "dict_type": "should be a mapping",
    "model_type": "should be a mapping",
}
SAID = ("missing", "extra_forbidden", "unknown_stage", "value_error", "too_short", "too_long", "model_reference")
"""Complaints that say enough without what was given."""


def mistake(
    error: ValidationError, written: Any, subject: str, model: type[BaseModel], *, where: str | None = None
) -> PenstockError:
    """The first mistake in ``written``; where a field fits no member of a union, all that it could have been.

    ``subject`` says whose fields these are; ``where`` is the place of what is not there to point at.
    """
    details = [(path_of(detail, written), detail) for detail in error.errors()]
    field = min(details, key=lambda pair: pair[1]["type"] == "missing")[0][:1]  # a misspelt field is missing as well
    depth = max(len(path) for path, _ in details if path[:1] == field)
    same = [(path, detail) for path, detail in details if path[:1] == field and len(path) == depth]
    fitting = [pair for pair in same if not beside_the_point(*pair, written)] or same
    path, first = min(fitting, key=lambda pair: pair[1]["type"] == "missing")
    fitting = [pair for pair in fitting if pair[0] == path]
    whose = ", ".join(filter(None, (subject, "field " + ".".join(map(str, path)) if path else "")))
    what = " or ".join(dict.fromkeys(complaint(detail) for _, detail in fitting))
    return PenstockError(
        f"{whose}: {what}{shown(first)}" if whose else what,
        where=place_of(path, first, written) or where,
        fix=remedy(path, first, model),
    )


def beside_the_point(path: Path, detail: ErrorDetails, written: Any) -> bool:
    """A request parameter's default is wrong: that it is no request parameter itself says nothing."""
    return detail["type"] == "model_type" and isinstance(follow(written, path)[2], dict)


def path_of(detail: ErrorDetails, written: Any) -> Path:
    """A complaint's location without the names of union members, ending in the field that is missing or too many."""
    taken, _, _ = follow(written, detail["loc"])
    return (*taken, detail["loc"][-1]) if lacks_a_field(detail) else taken


def lacks_a_field(detail: ErrorDetails) -> bool:
    """Whether a name is missing; a list that lacks an item is itself too short."""
    return detail["type"] == "missing" and isinstance(detail["loc"][-1], str)


def place_of(path: Path, detail: ErrorDetails, written: Any) -> str | None:
    """Where to point: at a key that should not be there, at what lacks one, at a value."""
    if detail["type"] == "extra_forbidden" or detail["loc"][-1:] == ("[key]",):
        return key_place(written, path)
    if lacks_a_field(detail):
        return follow(written, path[:-1])[1] if len(path) > 1 else None
    _, place, value = follow(written, path)
    key = detail.get("ctx", {}).get("key")
    return key_place(value, (key,)) or place if key is not None else place


def complaint(detail: ErrorDetails) -> str:
    """One complaint in our words."""
    kind = detail["type"]
    if kind == "model_type" and detail["ctx"]["class_name"] == "Param":
        return "{param: name}"
    if kind == "missing" and not lacks_a_field(detail):
        return WORDS["too_short"]
    return WORDS.get(kind) or detail["msg"].removeprefix("Value error, ").replace("Input should", "should")


def shown(detail: ErrorDetails) -> str:
    """What was given, where it is short enough to be recognised."""
    if detail["type"] in SAID:
        return ""
    try:
        text = json.dumps(detail["input"], default=lambda value: type(value).__name__)
    except ValueError:  # a number longer than Python prints
        return ""
    return f", not {text}" if len(text) <= 40 else ""


def remedy(path: Path, detail: ErrorDetails, model: type[BaseModel]) -> str | None:
    """What to write instead."""
    if "fix" in detail.get("ctx", {}):
        return str(detail["ctx"]["fix"])
    if detail["type"] == "string_pattern_mismatch":
        return SPELLING.get(detail["ctx"]["pattern"])
    names, name = fields_beside(model, path), str(path[-1]) if path else ""
    if detail["type"] == "extra_forbidden":
        return nearest(name, names) or f"the fields are {', '.join(names) or 'none'}"
    return example(name, names[name], detail["type"] == "missing") if name in names else None


def example(name: str, field: FieldInfo, missing: bool) -> str | None:
    """A value that the field takes."""
    if field.examples:
        return f"for example `{name}: {field.examples[0]}`"
    if not field.is_required() and isinstance(field.default, int | float | str):
        return f"for example `{name}: {json.dumps(field.default)}`"
    return f"add `{name}: ...`" if missing else None
