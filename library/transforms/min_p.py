"""Min-p sampling."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.threshold import min_p


class MinP(Stage):
    """Only tokens at least ``p`` times as likely as the likeliest (Nguyen et al., arXiv 2407.01082)."""

    kind: ClassVar[str] = "transform.min_p"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    shrinks: ClassVar[bool] = True

    p: Annotated[float, Field(ge=0, le=1)] | Param = 0.1
    """Share of the largest probability (0.05 to 0.1 in the paper); 0 keeps every token, 1 the likeliest and its ties."""

    def transform(self, logits: Any) -> Any:
        return min_p(logits, self.p)

    def small(self, v: int) -> "MinP":
        return self
