"""Field types for names that a pipeline defines: of models and of views."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from penstock.dsl.declared import Declared
from penstock.dsl.marks import leaves, marked


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
    for field, mark, value in marked(declared, Names):
        yield from ((field, mark.what, name) for name in leaves(value) if isinstance(name, str))
