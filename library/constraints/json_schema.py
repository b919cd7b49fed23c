"""JSON that a schema allows."""

import json
from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.ir.errors import PenstockError
from penstock.library.constraints.constraint import Constraint
from penstock.library.constraints.engine import guidance
from penstock.library.constraints.schema.keywords import enforceable
from penstock.library.constraints.schema.reach import Reach, Unbounded, reach

Separator = Annotated[str, Field(pattern=r"^[ \t\r\n]*[,:][ \t\r\n]*$")]


class JsonSchema(Constraint):
    """All of the text is one JSON value that a schema allows (draft 7), properties in the schema's order.

    What the schema forbids is never accepted; a keyword that cannot be enforced is refused by name. Where no value can nest or
    grow without end, rows end valid within ``max_new_tokens``; others may be cut short there, with the status `length`.
    """

    kind: ClassVar[str] = "constraint.json_schema"
    field: ClassVar[str] = "schema"
    bounded: ClassVar[bool] = True

    schema_: Annotated[
        str | dict[str, Any] | bool,
        Field(validation_alias="schema", serialization_alias="schema", examples=["person.schema.json"]),
    ]
    """A file beside the spec, or the schema itself."""
    separators: tuple[Separator, Separator] = (", ", ": ")
    """What stands between items, and between a key and its value (as Python's json writes them)."""
    whitespace: bool = False
    """Any white space may stand between tokens instead."""

    def document(self) -> Any:
        """The schema as it was written. Raises PenstockError for a file that is not there or no JSON."""
        if not isinstance(self.schema_, str):
            return self.schema_
        try:
            return json.loads(self.file(self.schema_))
        except ValueError as error:
            raise PenstockError(f"{self.schema_} is no JSON: {error}", fix="give a JSON Schema") from None

    def check(self) -> None:
        enforceable(self.document())

    def said(self) -> str:
        comma, colon = (",", ":") if self.whitespace else self.separators
        spacing = {"whitespace_flexible": self.whitespace, "item_separator": comma, "key_separator": colon}
        return guidance.of_json_schema(enforceable(self.document()), spacing)

    def reach(self) -> Reach | None:
        try:
            return reach(enforceable(self.document()))
        except Unbounded:
            return None

    @property
    def remark(self) -> str:
        """Whether rows end valid in time."""
        try:
            far = reach(enforceable(self.document())).extent
            return f"a text is never more than {far} bytes from its end, so rows end valid within max_new_tokens"
        except Unbounded as error:
            where = error.args[0] or "/"
            return f"rows may be cut short by max_new_tokens (status length): the schema at {where} may go on without end"

    def refuse(self, limit: int) -> None:
        """Raises PenstockError where no text that was found ends within so many tokens."""
        least = self._states.least()
        if least is not None and least > limit:
            what = f"the shortest text found takes {least} tokens, and max_new_tokens is {limit}"
            raise self.wrong(PenstockError(what, fix=f"give it at least {least}"))

    def toy(self) -> "JsonSchema":
        """Numbers of one to three digits; near the limit the long one is out of reach."""
        return JsonSchema(schema_={"enum": [1, 12, 211]})
