"""Text of a context-free grammar."""

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.library.constraints.constraint import Constraint
from penstock.library.constraints.engine import guidance

FILE = ".lark"


class Grammar(Constraint):
    """All of the text is one ``start`` of a grammar in llguidance's dialect of Lark.

    It may name special tokens, as in ``<|answer|>``; no other special token but the end is ever allowed.
    """

    kind: ClassVar[str] = "constraint.grammar"
    field: ClassVar[str] = "grammar"

    grammar: Annotated[str, Field(min_length=1, examples=['"start: /[0-9]+/"'])]
    """Rules, or the name of a file beside the spec that ends in ``.lark``."""

    def rules(self) -> str:
        """The rules themselves. Raises PenstockError for a file that cannot be read."""
        return self.file(self.grammar) if self.grammar.endswith(FILE) else self.grammar

    def check(self) -> None:
        self.rules()

    def said(self) -> str:
        return guidance.of_lark(self.rules())

    def toy(self) -> "Grammar":
        """As many 2s as 1s before them."""
        return Grammar(grammar='start: "1" start? "2"')
