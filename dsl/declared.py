"""What all that is declared has in common: frozen, exact about types, equal by value, aware of where it was written."""

from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema

from penstock.dsl.caller import caller
from penstock.dsl.limits import MAX_INTEGER
from penstock.dsl.located import LocatedMap
from penstock.dsl.mistakes import mistake
from penstock.ir.errors import PenstockError

EXACT = {"int", "float", "bool"}


def make_exact(schema: Any) -> None:
    """Turn coercion off for numbers and truth values anywhere in a schema but in keys, which are always text.

    Integers are those that a tensor can hold.
    """
    if isinstance(schema, dict):
        if schema.get("type") in EXACT:
            schema["strict"] = True
        if schema.get("type") == "int" and "lt" not in schema:
            schema.setdefault("le", MAX_INTEGER)
        for name, part in schema.items():
            if name not in ("keys_schema", "serialization", "metadata"):
                make_exact(part)
    elif isinstance(schema, list):
        for part in schema:
            make_exact(part)


class Declared(BaseModel):
    """A value of a spec. Numbers are numbers: neither ``"4"`` nor ``true`` is 4."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        use_attribute_docstrings=True,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
    )
    _places: dict[str, str] = PrivateAttr(default_factory=dict)

    def __init__(self, /, **fields: Any) -> None:
        """As Python declares it; a mistake is reported at the caller's line, as one of a spec is at its own."""
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise mistake(error, fields, self._subject(), type(self), where=caller()) from None
        except PenstockError as error:  # of a graph, which knows no place of its own here
            raise PenstockError(error.what, where=error.where or caller(), fix=error.fix) from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # validation goes on without it: read.py knows places

    @classmethod
    def _subject(cls) -> str:
        """What a message calls it."""
        return cls.__name__

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        make_exact(schema)
        return schema

    @model_validator(mode="wrap")
    @classmethod
    def _remember(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(value)
        if isinstance(value, LocatedMap):
            made._places = dict(value.places)
        return made

    def place_of(self, field: str) -> str | None:
        """Where a field was written, by the name that a spec calls it; None if it was not read from a text."""
        return self._places.get(field)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Declared) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self).__qualname__, hashable(self.__dict__)))


def hashable(value: Any) -> Any:
    """A value whose dicts, lists and sets are made of hashable parts; equal for equal values."""
    if isinstance(value, dict):
        return frozenset((key, hashable(part)) for key, part in value.items())
    if isinstance(value, set | frozenset):
        return frozenset(value)
    return tuple(hashable(part) for part in value) if isinstance(value, list | tuple) else value
