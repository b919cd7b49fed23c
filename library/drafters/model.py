"""Drafts of a smaller model."""

from typing import Any, ClassVar

from pydantic import Field

from penstock.dsl.stage import Effect, Role, Stage
from penstock.ir.draft import Growth
from penstock.ir.ports import Draft


class ModelDrafter(Stage):
    """Paths sampled from a draft model (Leviathan et al., arXiv 2211.17192; several iid ones: SpecTr, arXiv 2310.15141)."""

    kind: ClassVar[str] = "drafter.model"
    role: ClassVar[Role] = Role.DRAFTER
    effect: ClassVar[Effect] = Effect.ACCELERATES
    law: ClassVar[str] = "iid"

    model: str
    length: int = Field(4, ge=1, le=64, description="Tokens drafted a path.")
    paths: int = Field(1, ge=1, le=64, description="Independent paths; duplicates are kept and counted.")
    mirror: bool = Field(True, description="Draw from the draft model under the target's own transforms.")

    @property
    def room(self) -> int:
        """In-step nodes that views need slots for."""
        return self.length * self.paths

    def views(self) -> dict[str, str]:
        return {"draft": self.model}

    def propose(self, step: Any, stage: str) -> Draft:
        growth = Growth(step, "draft", stage)
        for level in range(self.length):
            if level:
                growth.feed()
            growth.draw(growth.distribution(), each=1 if level else self.paths)
        return growth.finish("iid", width=self.paths)
