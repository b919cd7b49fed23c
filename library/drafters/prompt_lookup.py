"""Drafts copied from the text itself."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.names import ViewName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.draft import of_shape
from penstock.ir.ops.lookup import lookup, one_hot
from penstock.ir.ports import Draft


class PromptLookup(Stage):
    """What followed the text's last tokens where they stood before (prompt lookup decoding; Saxena, 2023). No model drafts.

    The draft is a fixed chain: certain of its tokens, so a token is accepted with the probability that the target gives it.
    """

    kind: ClassVar[str] = "drafter.prompt_lookup"
    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"
    law: ClassVar[str] = "fixed"

    length: Annotated[int, Field(ge=1, le=64)] = 10
    """The most tokens drafted (10 in transformers)."""
    longest: Annotated[int, Field(ge=1, le=16)] = 3
    """The most tokens of the ending that are looked for; then one fewer, down to one."""
    view: ViewName | None = None
    """The view whose text is searched; by default the first that the pipeline has."""

    @property
    def room(self) -> int:
        """In-step nodes that views need slots for."""
        return self.length

    def propose(self, step: Any, stage: str) -> Draft:
        view = self.view or step.views[0]
        token, valid = lookup(f"view:{view}", "seq", longest=self.longest, length=self.length)
        parents = tuple(range(-1, self.length - 1))
        return of_shape(token, parents, law="fixed", valid=valid, q=one_hot(token, step.vocab), stage=stage)

    def small(self, v: int) -> "PromptLookup":
        return self.model_copy(update={"length": min(self.length, 2), "longest": min(self.longest, 2)})
