"""Drafts copied from the text itself."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.names import ViewName
from penstock.ir.draft import of_shape
from penstock.ir.ops.lookup import lookup, one_hot
from penstock.ir.ports import Draft
from penstock.library.drafters.chain import Chain, Length


class PromptLookup(Chain):
    """What followed the text's last tokens where they stood before (prompt lookup decoding; Saxena, 2023). No model drafts.

    The draft is a fixed chain: certain of its tokens, so a token is accepted with the probability that the target gives it.
    """

    kind: ClassVar[str] = "drafter.prompt_lookup"
    law: ClassVar[str] = "fixed"

    length: Length = 10
    """The most tokens drafted (10 in transformers); `auto` for as many as pay, step by step."""
    longest: Annotated[int, Field(ge=1, le=16)] = 3
    """The most tokens of the ending that are looked for; then one fewer, down to one."""
    view: ViewName | None = None
    """The view whose text is searched; by default the first that the pipeline has."""

    def propose(self, step: Any, stage: str) -> Draft | None:
        length = self.drafting(step)
        if not length:
            return None
        view = self.view or step.views[0]
        token, valid = lookup(f"view:{view}", "seq", longest=self.longest, length=length)
        parents, valid, q = tuple(range(-1, length - 1)), self.room_for(step, valid), one_hot(token, step.vocab)
        return of_shape(token, parents, law="fixed", valid=valid, q=q, stage=stage)

    def small(self, v: int) -> "PromptLookup":
        return self.model_copy(update={"length": self.shortened(2), "longest": min(self.longest, 2)})
