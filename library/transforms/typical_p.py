"""Locally typical sampling."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.threshold import typical_p


class TypicalP(Stage):
    """Only the fewest tokens with the most typical surprise whose probability reaches ``p`` (Meister et al., arXiv 2202.00666).

    Typical is a surprise ``-log p(x)`` near the entropy: the likeliest token may go. Ties with the last one stay.
    """

    kind: ClassVar[str] = "transform.typical_p"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    shrinks: ClassVar[bool] = True

    p: Annotated[float, Field(gt=0, le=1)] | Param = 0.9
    """Probability to keep (0.2 and 0.95 in the paper); 1 keeps every token."""

    def transform(self, logits: Any) -> Any:
        return typical_p(logits, self.p)

    def small(self, v: int) -> "TypicalP":
        return self
