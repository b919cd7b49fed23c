"""Classifier-free guidance: away from what the model would say without the prompt."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self

from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from penstock.dsl.names import ModelName, ViewName
from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.op import op
from penstock.ir.ops.logits import over, precise


class Guidance(Stage):
    """``u + scale (c - u)`` on log-probabilities c of the prompt and u of another prompt (arXiv 2306.17806).

    c is what has been composed so far, u what a view says that reads the same generated text after a prompt of its own: the
    request's last token (`prompt.last_token`, what transformers takes) or a negative prompt (`prompt.given`). Transformers
    guides before it does anything else, so it stands first among transforms.
    """

    kind: ClassVar[str] = "steer.guidance"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"

    model: ModelName
    """The model of the other branch: the target itself, in the paper."""
    view: ViewName
    """The other branch: a view of this model with a prompt of its own."""
    scale: Annotated[float, Field(ge=0)] | Param = 1.5
    """1 is no guidance, 0 the other branch alone (usual: 1.25 to 1.5)."""

    @model_validator(mode="after")
    def _two_branches(self) -> Self:
        if self.view == self.model:
            raise ValueError(f"the view {self.view} reads the request's prompt, so nothing guides; name a view with another one")
        return self

    def views(self) -> dict[str, str]:
        return {self.view: self.model}

    def compose(self, step: Any, logits: Any, stage: str) -> Any:
        return guided(logits, step.beside(self.view), self.scale)

    def compose_text(self, logits: Tensor, texts: Any, text: Sequence[int]) -> Any:
        """`compose` for the text oracle."""
        return guided(logits, texts.logits(self.view, text), self.scale)

    def small(self, v: int) -> "Guidance":
        return self


@op()
def guided(
    logits: Float[Tensor, "*B V"], other: Float[Tensor, "*B V"], scale: float | Float[Tensor, "B"]
) -> Float[Tensor, "*B V"]:
    """``u + scale (c - u)`` of log-softmaxes; a token that was forbidden stays so, whatever the scale."""
    c, u = (precise(x).log_softmax(-1) for x in (logits, other))
    return (u + over(scale, c) * (c - u)).where(~c.isneginf(), c).to(logits)
