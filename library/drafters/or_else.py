"""One drafter where it finds something, else another."""

from typing import Any, ClassVar, Self

from pydantic import model_validator

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage, StageField
from penstock.ir.either import either
from penstock.ir.ports import Draft


class OrElse(Stage):
    """Each row drafts with ``first``, or, where that proposes nothing, with ``second``; every row is accepted by its own law.

    What decides is the past alone, never a token that was drawn, so the law of neither draft changes.
    """

    kind: ClassVar[str] = "drafter.or_else"
    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"

    first: StageField
    second: StageField
    """Runs only in steps where some row has nothing from the first."""

    @model_validator(mode="after")
    def _both_draft(self) -> Self:
        for stage in (self.first, self.second):
            if stage.role != "drafter" or stage.parts() != (stage,):
                raise ValueError(f"{stage.kind} is no drafter by itself")
            if not hasattr(stage, "law"):
                raise ValueError(f"{stage.kind} drafts canvases, and only drafts of tokens stand in for each other")
            if stage.decision:
                raise ValueError(f"this {stage.kind} decides what the next step looks like, and cannot stand in for another")
        return self

    @property
    def law(self) -> tuple[str, ...]:
        """What a row's draft may be distributed like."""
        each = (stage.law for stage in (self.first, self.second))
        return tuple(dict.fromkeys(law for given in each for law in ((given,) if isinstance(given, str) else given)))

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        """What either uses of its models."""
        return frozenset(self.first.needs | self.second.needs)

    @property
    def room(self) -> int:
        """In-step nodes that views need slots for."""
        return max(self.first.room, self.second.room)

    def views(self) -> dict[str, str]:
        return self.first.views() | self.second.views()

    def registers(self, rows: int, vocab: int) -> dict[str, Any]:
        return self.first.registers(rows, vocab) | self.second.registers(rows, vocab)

    def propose(self, step: Any, stage: str) -> Draft:
        first = drafted(step, self.first, f"{stage}.first")
        return either(step, first, lambda: drafted(step, self.second, f"{stage}.second"), self.room, stage)

    def small(self, v: int) -> "OrElse":
        return OrElse(first=self.first.small(v), second=self.second.small(v))


def drafted(step: Any, drafter: Any, stage: str) -> Draft:
    """One of the two drafts, under the target's own transforms if its drafter wants that."""
    with step.mirroring(getattr(drafter, "mirror", True)):
        draft: Draft = drafter.propose(step, stage)
        return draft
