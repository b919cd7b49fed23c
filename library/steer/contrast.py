"""Contrastive decoding: what an expert says and an amateur would not."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from penstock.dsl.names import ModelName, ViewName
from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.op import op
from penstock.ir.ops.logits import over, precise


class Contrast(Stage):
    """``log p - strength log q`` over tokens with ``p >= alpha max p`` (contrastive decoding, arXiv 2210.15097).

    p is what has been composed so far, q what a weaker model says after the same text. The mask keeps tokens of which the
    expert itself thinks little from winning because the amateur thinks less of them.
    """

    kind: ClassVar[str] = "steer.contrast"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    shrinks: ClassVar[bool] = True

    model: ModelName
    """The amateur."""
    view: ViewName | None = None
    """Where the amateur reads the text; by default a view of its own, on the request's prompt."""
    strength: Annotated[float, Field(ge=0)] | Param = 1.0
    """Weight of the amateur (1 in the paper)."""
    alpha: Annotated[float, Field(gt=0, le=1)] | Param = 0.1
    """Share of the largest probability that a plausible token has (0.1 in the paper)."""
    temperature: Annotated[float, Field(gt=0)] | Param = 1.0
    """The amateur's."""

    @property
    def seat(self) -> str:
        """The name of the view that the amateur reads."""
        return self.view or f"amateur:{self.model}"

    def views(self) -> dict[str, str]:
        return {self.seat: self.model}

    def compose(self, step: Any, logits: Any, stage: str) -> Any:
        return self.contrasted(logits, step.beside(self.seat))

    def compose_text(self, logits: Tensor, texts: Any, text: Sequence[int]) -> Any:
        """`compose` for the text oracle."""
        return self.contrasted(logits, texts.logits(self.seat, text))

    def contrasted(self, logits: Any, amateur: Any) -> Any:
        return contrasted(logits, amateur, self.strength, self.alpha, self.temperature)

    def small(self, v: int) -> "Contrast":
        return self


@op()
def contrasted(
    expert: Float[Tensor, "*B V"],
    amateur: Float[Tensor, "*B V"],
    strength: float | Float[Tensor, "B"],
    alpha: float | Float[Tensor, "B"],
    temperature: float | Float[Tensor, "B"] = 1.0,
) -> Float[Tensor, "*B V"]:
    """``log p - strength log q`` where ``p >= alpha max p``, else -inf; q is the amateur's at this temperature."""
    p, raw = precise(expert).log_softmax(-1), precise(amateur)
    q = (raw / over(temperature, raw)).log_softmax(-1)
    implausible = p < p.amax(-1, keepdim=True) + over(alpha, p).log()
    return (p - over(strength, p) * q).masked_fill(implausible, -math.inf).to(expert)
