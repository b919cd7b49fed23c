"""Drafts of what a grammar forces."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.draft import of_shape
from penstock.ir.errors import PenstockError
from penstock.ir.ops.lookup import one_hot
from penstock.ir.ports import Draft


class Forced(Stage):
    """What any text must go on with (a key, a separator), by the constraint of its pipeline. No model drafts.

    The bytes are certain, which tokens spell them is the target's choice: a fixed chain, accepted with the target's probability.
    """

    kind: ClassVar[str] = "drafter.forced"
    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"
    law: ClassVar[str] = "fixed"
    mirror: ClassVar[bool] = True

    length: Annotated[int, Field(ge=1, le=64)] = 8
    """The most tokens drafted."""

    @property
    def room(self) -> int:
        """In-step nodes that views need slots for."""
        return self.length

    def propose(self, step: Any, stage: str) -> Draft:
        grammars = [placed for placed in step.mirrored if placed.has("forced")]
        if len(grammars) != 1:
            raise PenstockError(
                f"stage {stage} drafts what a constraint forces, and {len(grammars)} stages of its pipeline are one",
                fix="have one of constraint.json_schema, constraint.regex and constraint.grammar after the verifier",
            )
        token, valid = grammars[0].stage.forced(step.read(grammars[0].name), self.length)
        parents = tuple(range(-1, self.length - 1))
        return of_shape(token, parents, law="fixed", valid=valid, q=one_hot(token, step.vocab), stage=stage)

    def small(self, v: int) -> "Forced":
        return self.model_copy(update={"length": min(self.length, 2)})
