"""DoLa: what the last layer says and an early one does not yet."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from penstock.dsl.names import ModelName, ViewName
from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.ops.divergence import js
from penstock.library.steer.contrast import contrasted

Layer = Annotated[int, Field(ge=1)]


class ContrastLayers(Stage):
    """``log p - log q`` over tokens with ``p >= alpha max p``; q is of the early layer furthest from p (DoLa, arXiv 2309.03883).

    Furthest is the largest Jensen-Shannon divergence of raw logits, at every site by itself; transformers takes the mean over
    the batch. An early layer speaks through the model's own head, the final norm included.
    """

    kind: ClassVar[str] = "steer.contrast_layers"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    shrinks: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"hidden"})

    model: ModelName
    """The verifier's model."""
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]
    """The early layers to choose from, counted from 1 and below the last; one alone is the static form."""
    alpha: Annotated[float, Field(gt=0, le=1)] | Param = 0.1
    """Share of the largest probability that a plausible token has (0.1 in the paper)."""
    view: ViewName | None = None
    """The view that the verifier scores in; by default the model's own."""

    @property
    def seat(self) -> str:
        """The name of the view whose layers it reads."""
        return self.view or self.model

    @property
    def listens(self) -> tuple[str, ...]:
        return (self.seat,)

    @property
    def layers_needed(self) -> dict[str, int]:
        """The layers that a small model must have for it."""
        return {self.model: max(self.layers) + 1}

    def views(self) -> dict[str, str]:
        return {self.seat: self.model}

    def compose(self, step: Any, logits: Any, stage: str) -> Any:
        count = step.model(self.seat).layers
        if max(self.layers) >= count:
            fix = f"choose from layers 1 to {count - 1}" if count > 1 else "use a model of several layers"
            raise PenstockError(f"stage {stage}, field layers: layer {max(self.layers)} of {count} is no early one", fix=fix)
        early = furthest(step.exits(self.seat, self.layers), step.scored.raw)
        return contrasted(logits, early, 1.0, self.alpha)

    def compose_text(self, logits: Tensor, texts: Any, text: Sequence[int]) -> Any:
        """`compose` for the text oracle."""
        exits = torch.stack([texts.logits(self.seat, text, layers=layer) for layer in self.layers])
        apart = [js(exit, texts.logits(self.seat, text)) for exit in exits]
        return contrasted(logits, exits[int(torch.stack(apart).argmax())], 1.0, self.alpha)

    def small(self, v: int) -> "ContrastLayers":
        return self.model_copy(update={"layers": (1, 2)[: len(self.layers)]})


@op()
def furthest(exits: Float[Tensor, "B L S V"], final: Float[Tensor, "B S V"]) -> Float[Tensor, "B S V"]:
    """At every site the logits of the layer that is furthest from the last one, the first of those that tie."""
    chosen = js.meaning(exits, final[:, None]).argmax(1)
    return exits.gather(1, chosen[:, None, :, None].expand(-1, -1, -1, exits.shape[-1]))[:, 0]
