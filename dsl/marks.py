"""Marks on field types: what a number or a text in a field stands for, found wherever it is nested."""

from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from penstock.dsl.declared import Declared
from penstock.dsl.fields import spelt

M = TypeVar("M")


def marked(declared: Declared, mark: type[M]) -> Iterator[tuple[str, M, Any]]:
    """``(field, mark, value)`` of every field of an object whose type holds a mark of this kind, by what a spec calls it."""
    for field, info in type(declared).model_fields.items():
        found = next((each for each in (*info.metadata, *flattened(info.annotation)) if isinstance(each, mark)), None)
        if found is not None:
            yield spelt(field, info), found, getattr(declared, field)


def flattened(annotation: Any) -> Iterator[Any]:
    """An annotation's arguments, theirs, and so on, metadata of Annotated included."""
    yield from getattr(annotation, "__metadata__", ())
    for argument in get_args(annotation):
        yield argument
        yield from flattened(argument)


def leaves(value: Any) -> Iterator[Any]:
    """What a field's value holds at the bottom of its lists."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from leaves(part)
    else:
        yield value
