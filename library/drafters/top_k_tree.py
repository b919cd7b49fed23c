"""Trees of a draft model's most likely tokens."""

from itertools import accumulate
from operator import mul
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from penstock.dsl.limits import MAX_NODES
from penstock.dsl.names import ModelName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.dsl.tokens import TokenCount
from penstock.ir.draft import Growth
from penstock.ir.ops.logits import top_ids
from penstock.ir.ports import Draft

Branching = Annotated[tuple[Annotated[TokenCount, Field(le=64)], ...], Field(min_length=1, max_length=64, examples=["[3, 2, 1]"])]


class TopKTree(Stage):
    """Below every node the draft model's most likely tokens, verified by sample-and-match (SpecInfer, arXiv 2305.09781).

    It takes no noise, and works at temperature 0 too, where a sampled tree is one chain.
    """

    kind: ClassVar[str] = "drafter.top_k_tree"
    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"
    law: ClassVar[str] = "arbitrary"

    model: ModelName
    branching: Branching = (3, 2, 1)
    """Children of every node, level by level."""
    mirror: bool = True
    """Rank tokens under the target's own transforms, by the draft model's own logits where those tie."""

    @field_validator("branching")
    @classmethod
    def _fits_a_step(cls, branching: tuple[int, ...]) -> tuple[int, ...]:
        if (nodes := nodes_of(branching)) > MAX_NODES:
            count = f"{nodes:,}" if nodes < 10**12 else f"{nodes:.0e}"
            raise ValueError(f"a tree of {count} nodes, and a step has room for {MAX_NODES:,}")
        return branching

    @property
    def room(self) -> int:
        """In-step nodes that views need slots for."""
        return nodes_of(self.branching)

    @property
    def seat(self) -> str:
        """The name of its view: a cache of its own, even where the target is the same model."""
        return f"draft:{self.model}"

    def views(self) -> dict[str, str]:
        return {self.seat: self.model}

    def propose(self, step: Any, stage: str) -> Draft:
        growth = Growth(step, self.seat, stage)
        for level, each in enumerate(self.branching):
            if level:
                growth.feed()
            shaped = growth.shaped() if step.mirrored else None
            growth.add(top_ids(growth.logits, shaped, each), None, each, distinct=True)
        return growth.finish("arbitrary", width=max(self.branching))

    def small(self, v: int) -> "TopKTree":
        return self.model_copy(update={"branching": tuple(min(each, 2) for each in self.branching[:2])})


def nodes_of(branching: tuple[int, ...]) -> int:
    """How many nodes a tree has below its root."""
    return sum(accumulate(branching, mul))
