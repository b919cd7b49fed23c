"""Several targets of which one is active: each row is scored by the model that a gate has chosen for it."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, field_validator
from torch import Tensor

from penstock.dsl.names import ModelName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.op import op
from penstock.ir.ports import Scored
from penstock.ir.region import cond_rows


def differ(models: tuple[str, ...]) -> tuple[str, ...]:
    """Models that take turns, all of them different."""
    if len(set(models)) < len(models):
        raise ValueError("a model cannot take turns with itself")
    return models


class SwitchedVerifier(Stage):
    """Scores root and draft with one of several targets, by row; the others run nothing and catch up when their turn comes."""

    kind: ClassVar[str] = "verifier.switched"
    role: ClassVar[Role] = "scorer"
    effect: ClassVar[Effect] = "steers"

    models: Annotated[tuple[ModelName, ...], Field(min_length=2)]
    """The targets, in the order in which the gate counts them; one vocabulary."""
    by: str
    """The register that says which: the path state of a gate, whose ``active`` is an index into ``models``."""

    _differ = field_validator("models")(differ)

    def views(self) -> dict[str, str]:
        return {model: model for model in self.models}

    def score(self, step: Any, stage: str) -> Scored:
        active = step.read(self.by)["active"]
        logits = unscored(active, 1 + (step.draft.nodes if step.draft else 0), step.vocab)
        for index, view in enumerate(self.models):
            score = lambda _, view=view: [step.score(view).raw]  # noqa: E731
            (logits,) = cond_rows(is_index(active, index), score, [logits], label=f"scored_by_{index}")
        return Scored(logits, logits)

    def view_at(self, states: Mapping[str, Any]) -> str:
        """For the text oracle: the view that scores after a text, by the path states there."""
        return self.models[int(states[self.by]["active"])]

    def small(self, v: int) -> "SwitchedVerifier":
        return self


@op()
def unscored(active: Int[Tensor, "B"], sites: int, vocab: int) -> Float[Tensor, "B S V"]:
    """Zeros: logits that no model has given yet."""
    return torch.zeros(len(active), sites, vocab)


@op()
def is_index(active: Int[Tensor, "B"], index: int) -> Bool[Tensor, "B"]:
    """Which rows have this one active."""
    return active == index
