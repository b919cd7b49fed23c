"""What every registered stage is, as plain data: for `penstock stages`, the catalogue page and other programs."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from penstock.dsl.fields import spelt
from penstock.dsl.registry import stage_classes
from penstock.dsl.roles import READS, WRITES
from penstock.dsl.stage import Stage

PAPER = re.compile(r"(?:arXiv[: ]|\b)([0-9]{4}\.[0-9]{5})\b")


@dataclass(frozen=True)
class Field:
    """An option of a stage."""

    name: str
    type: str
    default: Any
    required: bool
    meaning: str
    request: bool
    """Whether a request may set it."""


@dataclass(frozen=True)
class Entry:
    """A stage."""

    stage: str
    role: str
    effect: str
    meaning: str
    """Its docstring's first sentence or paragraph."""
    details: str
    """The rest of it."""
    papers: tuple[str, ...]
    """arXiv ids."""
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    fields: tuple[Field, ...]
    spec: bool
    """Whether a spec can hold it."""

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def catalogue() -> list[Entry]:
    """Every registered stage, by kind."""
    return [entry(kind, cls) for kind, cls in sorted(stage_classes().items())]


def entry(kind: str, cls: type[Stage]) -> Entry:
    """What a stage's class says of it."""
    meaning, _, details = (cls.__doc__ or "").strip().partition("\n\n")
    papers = tuple(dict.fromkeys(PAPER.findall(cls.__doc__ or "")))
    ports = READS.get(cls.role, ()), WRITES.get(cls.role, ())
    fields = tuple(fields_of(cls)) if cls.data else ()
    return Entry(kind, cls.role, cls.effect, joined(meaning), joined(details), papers, *ports, fields, cls.data)


def joined(text: str) -> str:
    """A docstring's paragraphs, each one line."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def fields_of(cls: type[Stage]) -> list[Field]:
    """The fields as the stage's JSON Schema has them."""
    schema = cls.model_json_schema()
    defs = schema.get("$defs", {})
    found = []
    for name, info in cls.model_fields.items():
        called = spelt(name, info)
        told = schema["properties"][called]
        forms = [form for form in told.get("anyOf", [told]) if form.get("$ref") != "#/$defs/Param"]
        words = " or ".join(dict.fromkeys(type_words(form, defs) for form in forms))
        request = len(forms) < len(told.get("anyOf", [told]))
        default = None if info.is_required() else told.get("default")
        found.append(Field(called, words, default, info.is_required(), joined(info.description or ""), request))
    return found


def type_words(form: dict[str, Any], defs: dict[str, Any]) -> str:
    """A JSON Schema type in few words."""
    if "$ref" in form:
        return type_words(defs[form["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in form:
        return " or ".join(dict.fromkeys(type_words(each, defs) for each in form["anyOf"]))
    if form.get("x-penstock") == "stage":
        return "a stage"
    if "enum" in form or "const" in form:
        return ", ".join(map(str, form.get("enum", [form.get("const")])))
    kind = form.get("type", "anything")
    if kind == "array":
        parts = form.get("prefixItems") or [form.get("items", {})]
        return "list of " + ", ".join(type_words(part, defs) for part in parts)
    if kind == "object":
        inner = form.get("additionalProperties")
        return f"mapping to {type_words(inner, defs)}" if isinstance(inner, dict) else "mapping"
    return {"null": "none", "string": "text"}.get(kind, kind) + bounds(form)


def bounds(form: dict[str, Any]) -> str:
    """The limits of a number, but for those that every tensor has."""
    signs = {"minimum": "\u2265", "exclusiveMinimum": ">", "maximum": "\u2264", "exclusiveMaximum": "<"}
    told = [f"{sign} {form[name]:g}" for name, sign in signs.items() if name in form and abs(form[name]) < 2**62]
    return " " + ", ".join(told) if told else ""
