"""Drafts of a smaller model."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from penstock.dsl.names import ModelName
from penstock.ir.draft import Growth
from penstock.ir.ports import Draft
from penstock.library.drafters.chain import Chain, Length


class ModelDrafter(Chain):
    """Paths sampled from a draft model (Leviathan et al., arXiv 2211.17192; several iid ones: SpecTr, arXiv 2310.15141).

    Or one path of its likeliest tokens, which is certain of them: each is accepted with the probability that the target gives it.
    """

    kind: ClassVar[str] = "drafter.model"

    model: ModelName
    length: Length = 4
    """Tokens drafted a path; `auto` for as many as pay, step by step."""
    paths: Annotated[int, Field(ge=1, le=64)] = 1
    """Independent paths; duplicates are kept and counted."""
    greedy: bool = False
    """Draft the likeliest token instead of a draw."""
    mirror: bool = True
    """Draft under the target's own transforms."""

    @model_validator(mode="after")
    def _paths_differ(self) -> Self:
        if self.greedy and self.paths > 1:
            raise ValueError(f"{self.paths} greedy paths are one path; leave paths out, or sample them with greedy: false")
        if self.auto and self.paths > 1:
            raise ValueError(f"length: auto is for one path, and there are {self.paths}; leave paths out, or give a length")
        return self

    @property
    def law(self) -> str:
        """What drafts are distributed like."""
        return "fixed" if self.greedy else "iid"

    @property
    def room(self) -> int:
        """In-step nodes that views need slots for."""
        return self.most * self.paths

    @property
    def seat(self) -> str:
        """The name of its view: a cache of its own, even where the target is the same model."""
        return f"draft:{self.model}"

    def views(self) -> dict[str, str]:
        return {self.seat: self.model}

    def propose(self, step: Any, stage: str) -> Draft | None:
        length = self.drafting(step)
        if not length:
            return None
        growth = Growth(step, self.seat, stage)
        for level in range(length):
            if level:
                growth.feed()
            if self.greedy:
                growth.likeliest()
            else:
                growth.draw(growth.distribution(), each=1 if level else self.paths)
        return growth.finish(self.law, width=self.paths, valid=self.within(step, length))

    def small(self, v: int) -> "ModelDrafter":
        return self.model_copy(update={"length": self.shortened(2), "paths": min(self.paths, 2)})
