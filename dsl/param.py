"""Per-request placeholders: a field that a request may set, ``[b]`` when the pipeline runs."""

from typing import Annotated

from pydantic import Field

from penstock.dsl.declared import Declared
from penstock.dsl.spelling import WORD


class Param(Declared):
    """A request parameter by name, and its value where a request gives none; ``{param: temperature, default: 0.8}``."""

    param: Annotated[str, Field(pattern=WORD)]
    default: int | float | None = None


def param(name: str, default: int | float | None = None) -> Param:
    """A placeholder for a field typed ``float | Param``."""
    return Param(param=name, default=default)
