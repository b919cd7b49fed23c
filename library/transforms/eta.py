"""Eta sampling."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.threshold import eta_cut


class Eta(Stage):
    """Only tokens of probability ``min(epsilon, sqrt(epsilon) exp(-entropy))`` or more, else the likeliest.

    Hewitt et al., arXiv 2210.15191: a sure model loses what epsilon sampling takes from it, an unsure one less.
    """

    kind: ClassVar[str] = "transform.eta"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    shrinks: ClassVar[bool] = True

    epsilon: Annotated[float, Field(ge=0, lt=1)] | Param = 2e-3
    """The largest threshold (usual: 3e-4 to 4e-3)."""

    def transform(self, logits: Any) -> Any:
        return eta_cut(logits, self.epsilon)

    def small(self, v: int) -> "Eta":
        return self.model_copy(update={"epsilon": 0.2})
