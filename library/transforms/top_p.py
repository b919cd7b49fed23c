"""Nucleus sampling."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.logits import top_p


class TopP(Stage):
    """Only the fewest most likely tokens whose probability reaches ``p`` (Holtzman et al., arXiv 1904.09751)."""

    kind: ClassVar[str] = "transform.top_p"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    shrinks: ClassVar[bool] = True

    p: Annotated[float, Field(gt=0, le=1)] | Param = 0.9
    """Probability to keep; 1 keeps every token."""

    def transform(self, logits: Any) -> Any:
        return top_p(logits, self.p)

    def small(self, v: int) -> "TopP":
        return self
