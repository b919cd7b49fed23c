"""The JSON Schema of spec files over all registered stages, for editors and other programs."""

from typing import Any

from pydantic.json_schema import models_json_schema

from penstock.dsl.pipeline import Pipeline, Wires
from penstock.dsl.registry import stage_classes
from penstock.dsl.stage import MARK

STAGE = {"$ref": "#/$defs/stage"}
DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def schema() -> dict[str, Any]:
    """What `load` accepts, as far as JSON Schema can say it: names, wiring and references are for `load`."""
    classes = {kind: cls for kind, cls in stage_classes().items() if cls.data}
    models = (Pipeline, Wires, *classes.values())
    by_model, shared = models_json_schema([(model, "validation") for model in models])
    stages = [form(kind, by_model[cls, "validation"]) for kind, cls in classes.items()]
    defs = shared["$defs"] | {"stage": {"anyOf": stages}}
    spec = defs.pop("Pipeline")
    defs.pop("Stage", None)
    entries = spec["properties"]
    entries["pipeline"] = {"anyOf": [entries["pipeline"], by_model[Wires, "validation"]]}
    entries["prompt"] = {"type": "string", "description": "The only one of `prompts`."}
    spec |= {"title": "Penstock pipeline", "required": ["penstock", "pipeline"], "$defs": defs}
    return {**DIALECT, **closed(spec)}


def form(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A stage as written: ``kind: {field: value}``, or its kind alone."""
    written = {"type": "object", "properties": {kind: {"anyOf": [fields, {"type": "null"}]}}, "required": [kind]}
    return {"anyOf": [written | {"additionalProperties": False}, {"const": kind}]}


def closed(part: Any) -> Any:
    """The same schema with stage fields referring to any stage, and keys that do not match a pattern refused."""
    if isinstance(part, list):
        return [closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    if MARK.items() <= part.items():
        return STAGE
    rest = {"additionalProperties": False} if "patternProperties" in part else {}
    return {key: closed(value) for key, value in part.items()} | rest
