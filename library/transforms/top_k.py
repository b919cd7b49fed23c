"""Top-k sampling."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.logits import top_k


class TopK(Stage):
    """Only the ``k`` most likely tokens, lowest id first on ties (Fan et al., arXiv 1805.04833).

    Exactly k, where transformers keeps every token that ties with the k-th.
    """

    kind: ClassVar[str] = "transform.top_k"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    shrinks: ClassVar[bool] = True

    k: Annotated[int, Field(ge=1)] | Param = 50
    """Tokens to keep."""

    def transform(self, logits: Any) -> Any:
        return top_k(logits, self.k)

    def small(self, v: int) -> "TopK":
        return self.model_copy(update={"k": min(self.k, 2)})
