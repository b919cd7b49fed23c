"""Text that a regular expression matches."""

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.library.constraints.constraint import Constraint
from penstock.library.constraints.engine import guidance


class Regex(Constraint):
    """All of the text matches a pattern, in the syntax of Rust's regex crate without lookaround."""

    kind: ClassVar[str] = "constraint.regex"
    field: ClassVar[str] = "pattern"

    pattern: Annotated[str, Field(min_length=1, examples=["[0-9]{1,3}"])]

    def said(self) -> str:
        return guidance.of_regex(self.pattern)

    def toy(self) -> "Regex":
        return Regex(pattern="1*21?|1")
