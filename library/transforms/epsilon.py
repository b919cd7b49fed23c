"""Epsilon sampling."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.threshold import epsilon_cut


class Epsilon(Stage):
    """Only tokens of probability ``epsilon`` or more, else the likeliest (Hewitt et al., arXiv 2210.15191)."""

    kind: ClassVar[str] = "transform.epsilon"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    shrinks: ClassVar[bool] = True

    epsilon: Annotated[float, Field(ge=0, lt=1)] | Param = 3e-4
    """Probability below which a token goes (usual: 3e-4 to 9e-4)."""

    def transform(self, logits: Any) -> Any:
        return epsilon_cut(logits, self.epsilon)

    def small(self, v: int) -> "Epsilon":
        return self.model_copy(update={"epsilon": 0.2})
