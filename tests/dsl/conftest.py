"""Stages that do nothing, for tests of declaring; registered once, found by kind."""

from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from penstock.dsl.names import ModelName, ViewName
from penstock.dsl.param import Param
from penstock.dsl.registry import stage_class
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage, StageField
from penstock.ir.roles import METHODS


class TrivialDrafter(Stage):
    """Proposes nothing."""

    kind: ClassVar[str] = "trivial.drafter"
    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"

    model: ModelName
    length: Annotated[int, Field(ge=1)] = 4
    """How many."""
    mirror: bool = True

    def propose(self, step, stage):
        """Never called."""


class TrivialTransform(Stage):
    """Changes nothing."""

    kind: ClassVar[str] = "trivial.transform"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"

    value: Annotated[float, Field(ge=0)] | Param = 1.0
    view: ViewName | None = None
    bias: dict[int, float] = {}
    file: Annotated[str, Field(validation_alias="schema", serialization_alias="schema")] = ""
    inner: StageField | None = None
    others: tuple[StageField, ...] = ()

    def transform(self, logits):
        return logits


@pytest.fixture
def drafter() -> type[TrivialDrafter]:
    return stage_class("trivial.drafter")


@pytest.fixture
def transform() -> type[TrivialTransform]:
    return stage_class("trivial.transform")


def trivial(name: str, stage_role: str, stage_effect: str = "steers") -> type[Stage]:
    """A stage without fields, whose methods are never called."""
    methods = dict.fromkeys(METHODS.get(stage_role, ((),))[0], lambda *_: None)
    body = methods | {"kind": f"trivial.{name}", "role": stage_role, "effect": stage_effect, "__module__": __name__}
    return type(name.capitalize(), (Stage,), body)


ROLES = {name: trivial(name, name) for name in ("scorer", "gate", "tap", "learner", "prompt", "acceptor")}


class Composite(Stage):
    """Scores, looks at what it scored, and accepts."""

    kind: ClassVar[str] = "trivial.composite"
    role: ClassVar[Role] = "scorer"
    effect: ClassVar[Effect] = "steers"

    def parts(self) -> tuple[Stage, ...]:
        return tuple(self.here(ROLES[role]()) for role in ("scorer", "gate", "acceptor"))
