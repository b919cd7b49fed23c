"""Fields of what is declared, by what a spec calls them."""

from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def spelt(name: str, field: FieldInfo) -> str:
    """What a spec calls a field."""
    return field.validation_alias if isinstance(field.validation_alias, str) else name


def fields_beside(model: type[BaseModel], path: Sequence[object]) -> dict[str, FieldInfo]:
    """The fields among which the last step of a path is, or would be, one; none where no single model holds it."""
    fields, inside = model.model_fields, False
    for step in path[:-1]:
        if inside:  # a key or an index: what it leads to is what the field holds
            inside = False
            continue
        found = {spelt(name, info): info for name, info in fields.items()}.get(str(step))
        holds, inside = (None, False) if found is None else held(found.annotation)
        if holds is None:
            return {}
        fields = holds.model_fields
    return {} if inside else {spelt(name, info): info for name, info in fields.items()}


def held(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """``(model, in a container)``: what a field of this type holds, where it can be but one model."""
    members = [annotation, *get_args(annotation)]
    models = [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]
    return models[0] if len(models) == 1 else None, get_origin(annotation) in (dict, list, tuple)
