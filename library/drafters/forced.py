"""Drafts of what a grammar forces."""

from typing import Any, ClassVar

from penstock.ir.draft import of_shape
from penstock.ir.errors import PenstockError
from penstock.ir.ops.lookup import one_hot
from penstock.ir.ports import Draft
from penstock.library.drafters.chain import Chain, Length


class Forced(Chain):
    """What any text must go on with (a key, a separator), by the constraint of its pipeline. No model drafts.

    The bytes are certain, which tokens spell them is the target's choice: a fixed chain, accepted with the target's probability.
    """

    kind: ClassVar[str] = "drafter.forced"
    law: ClassVar[str] = "fixed"
    mirror: ClassVar[bool] = True

    length: Length = 8
    """The most tokens drafted; `auto` for as many as pay, step by step."""

    def propose(self, step: Any, stage: str) -> Draft | None:
        grammars = [placed for placed in step.mirrored if placed.has("forced")]
        if len(grammars) != 1:
            raise PenstockError(
                f"stage {stage} drafts what a constraint forces, and {len(grammars)} stages of its pipeline are one",
                fix="have one of constraint.json_schema, constraint.regex and constraint.grammar after the verifier",
            )
        length = self.drafting(step)
        if not length:
            return None
        token, valid = grammars[0].stage.forced(step.read(grammars[0].name), length)
        parents, valid, q = tuple(range(-1, length - 1)), self.room_for(step, valid), one_hot(token, step.vocab)
        return of_shape(token, parents, law="fixed", valid=valid, q=q, stage=stage)

    def small(self, v: int) -> "Forced":
        return self.model_copy(update={"length": self.shortened(2)})
