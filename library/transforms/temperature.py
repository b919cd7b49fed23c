"""Temperature."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.logits import COLDEST, scale


class Temperature(Stage):
    """``logits / value``; 0 is greedy, the lowest id on ties."""

    kind: ClassVar[str] = "transform.temperature"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"

    value: Annotated[float, Field(ge=0)] | Param = 1.0

    @property
    def shrinks(self) -> bool:
        """At 0 one token is left, so a hard mask has to come before it."""
        return isinstance(self.value, Param) or self.one_hot

    @property
    def one_hot(self) -> bool:
        """Whether it is constantly 0, or too close to it to divide by."""
        return not isinstance(self.value, Param) and self.value < COLDEST

    @property
    def only_sampled(self) -> bool:
        """Whether there may be anything left to draw."""
        return not self.one_hot

    def transform(self, logits: Any) -> Any:
        return scale(logits, self.value)

    def small(self, v: int) -> "Temperature":
        return self
