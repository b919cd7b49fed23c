"""Self-speculation from one early exit."""

from typing import Annotated, Any, ClassVar

from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, cat

from penstock.dsl.names import ModelName
from penstock.ir.draft import Growth
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.ops.forward import catch_up
from penstock.ir.ops.rows import join
from penstock.ir.ports import Begun, Draft
from penstock.library.drafters.chain import Chain, Length


class LayerSkip(Chain):
    """The target's first layers draft, its others verify on the states that these left (LayerSkip, arXiv 2404.16710)."""

    kind: ClassVar[str] = "drafter.layerskip"
    law: ClassVar[str] = "iid"
    needs: ClassVar[frozenset[str]] = frozenset({"layers"})

    model: ModelName
    """The verifier's own model: it drafts in the verifier's view."""
    exit: Annotated[int, Field(ge=1)]
    """How many of its layers draft."""
    length: Length = 4
    """Tokens drafted; `auto` for as many as pay, step by step."""
    mirror: bool = True
    """Draw under the target's own transforms."""

    @property
    def layers_needed(self) -> dict[str, int]:
        """The layers that a small model must have for it."""
        return {self.model: self.exit + 1}

    def views(self) -> dict[str, str]:
        return {self.model: self.model}

    def propose(self, step: Any, stage: str) -> Draft | None:
        length = self.drafting(step)
        return drafted(step, self.model, stage, self.exit, length, room=self.within(step, length)) if length else None

    def small(self, v: int) -> "LayerSkip":
        return self.model_copy(update={"exit": 1, "length": self.shortened(2)})


def drafted(step: Any, view: str, stage: str, layer: int, length: int, tau: Any = None, room: Any = None) -> Draft:
    """A chain drawn from the logits of one layer, all of it fed to the layers up to there; less sure than ``tau`` ends it.

    ``room``: the nodes that rows have room for.
    """
    layers = step.model(view).layers
    if not 0 < layer < layers:
        fix = f"exit after 1 to {layers - 1}" if layers > 1 else "use a model of several layers"
        raise PenstockError(f"stage {stage}: layer {layer} of {layers} is no early exit", fix=fix)
    catch_up(f"view:{view}", "seq")
    growth = Growth(step, view, stage, layers=(0, layer), want_hidden=True)
    states, sure = [growth.hidden], []
    for _ in range(length):
        said = growth.logits
        growth.draw(growth.distribution())
        sure.append(confidence(said, growth.levels[-1][0]))
        growth.feed()
        states.append(growth.hidden)
    draft = growth.finish("iid", width=1, valid=room if tau is None else going_on(join(*sure), tau))
    draft.begun = Begun(view, layer, tuple(join(*columns) for columns in zip(*states, strict=True)))
    return draft


@op()
def confidence(logits: Float[Tensor, "B 1 V"], token: Int[Tensor, "B 1"]) -> Float[Tensor, "B 1"]:
    """The probability of a token at temperature 1, before any transform."""
    return logits[:, 0].softmax(-1).gather(1, token)


@op()
def going_on(sure: Float[Tensor, "B N"], tau: Float[Tensor, "B"]) -> Bool[Tensor, "B N"]:
    """Which nodes of a chain are drafted: those after a token less sure than tau are not. That token stays.

    Whether a token is drafted must not depend on itself, or what is drafted would not follow q.
    """
    before = cat([sure.new_ones(len(sure), 1), (sure >= tau[:, None]).to(sure)[:, :-1]], 1)
    return before.cumprod(1).bool()
