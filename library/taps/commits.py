"""What drafts are worth: how many tokens steps commit."""

from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.op import op
from penstock.ir.ops.sequence import put
from penstock.ir.ports import Commit

COUNTS = "tap.commits"


class Commits(Stage):
    """How often a step of a row committed one token, two, three and so on; the last count is of as many or more."""

    kind: ClassVar[str] = "tap.commits"
    role: ClassVar[Role] = "tap"
    effect: ClassVar[Effect] = "accelerates"

    most: Annotated[int, Field(ge=1, le=256)] = 16
    """How many counts there are."""

    def registers(self, rows: int, vocab: int) -> dict[str, Tensor]:
        return {COUNTS: torch.zeros(rows, self.most, dtype=torch.long)}

    def learn(self, step: Any, commit: Commit, stage: str) -> None:
        put(f"reg:{COUNTS}", counted(step.read(COUNTS), commit.count))

    def small(self, v: int) -> "Commits":
        return self


@op()
def counted(counts: Int[Tensor, "B M"], count: Int[Tensor, "B"]) -> Int[Tensor, "B M"]:
    """One more where ``count``, at least 1, says."""
    place = count.clamp(1, counts.shape[1])[:, None] - 1
    return counts.scatter_add(1, place, torch.ones_like(place))
