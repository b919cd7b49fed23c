"""Field types for names that a pipeline defines: of models and of views."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from penstock.dsl.declared import Declared, spelt


@dataclass(frozen=True)
class Names:
    """Marks a text field as the name of something that the pipeline must define."""

    what: Literal["model", "view"]


ModelName = Annotated[str, Names("model")]
"""A name under ``models:``, or a model reference written in place."""
ViewName = Annotated[str, Names("view")]
"""A name under ``views:``, or a model's name, which stands for that model's own view."""


def named(declared: Declared) -> Iterator[tuple[str, str, str]]:
    """``(field, what, name)`` for every name that an object's own fields refer to."""
    for field, info in type(declared).model_fields.items():
        marks = [mark for mark in (*info.metadata, *flattened(info.annotation)) if isinstance(mark, Names)]
        for mark in marks[:1]:
            for name in texts(getattr(declared, field)):
                yield spelt(field, info), mark.what, name


def flattened(annotation: Any) -> Iterator[Any]:
    """An annotation's arguments, theirs, and so on, metadata of Annotated included."""
    yield from getattr(annotation, "__metadata__", ())
    for argument in get_args(annotation):
        yield argument
        yield from flattened(argument)


def texts(value: Any) -> Iterator[str]:
    """The strings in a field's value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts(part)
