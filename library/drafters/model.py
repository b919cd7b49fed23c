"""Drafts of a smaller model."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.names import ModelName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.draft import Growth
from penstock.ir.ports import Draft


class ModelDrafter(Stage):
    """Paths sampled from a draft model (Leviathan et al., arXiv 2211.17192; several iid ones: SpecTr, arXiv 2310.15141)."""

    kind: ClassVar[str] = "drafter.model"
    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"
    law: ClassVar[str] = "iid"

    model: ModelName
    length: Annotated[int, Field(ge=1, le=64)] = 4
    """Tokens drafted a path."""
    paths: Annotated[int, Field(ge=1, le=64)] = 1
    """Independent paths; duplicates are kept and counted."""
    mirror: bool = True
    """Draw from the draft model under the target's own transforms."""

    @property
    def room(self) -> int:
        """In-step nodes that views need slots for."""
        return self.length * self.paths

    @property
    def seat(self) -> str:
        """The name of its view: a cache of its own, even where the target is the same model."""
        return f"draft:{self.model}"

    def views(self) -> dict[str, str]:
        return {self.seat: self.model}

    def propose(self, step: Any, stage: str) -> Draft:
        growth = Growth(step, self.seat, stage)
        for level in range(self.length):
            if level:
                growth.feed()
            growth.draw(growth.distribution(), each=1 if level else self.paths)
        return growth.finish("iid", width=self.paths)

    def small(self, v: int) -> "ModelDrafter":
        return self.model_copy(update={"length": min(self.length, 2), "paths": min(self.paths, 2)})
