"""Temperature."""

from typing import Any, ClassVar

from penstock.dsl.param import Param
from penstock.dsl.stage import Effect, Role, Stage
from penstock.ir.ops.logits import scale


class Temperature(Stage):
    """``logits / value``; 0 is greedy, the lowest id on ties."""

    kind: ClassVar[str] = "transform.temperature"
    role: ClassVar[Role] = Role.TRANSFORM
    effect: ClassVar[Effect] = Effect.STEERS

    value: float | Param = 1.0

    def transform(self, logits: Any) -> Any:
        return scale(logits, self.value)
