"""An end that becomes likelier the longer the text is."""

from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from penstock.dsl.param import Param
from penstock.dsl.tokens import TokenId
from penstock.ir.ops.history import promote
from penstock.library.transforms.counted import Counted


class LengthDecay(Counted):
    """The end's logit grows by ``|logit| (factor^n - 1)``, n tokens beyond ``after``.

    Transformers calls it ``exponential_decay_length_penalty``.
    """

    kind: ClassVar[str] = "transform.length_decay"

    after: Annotated[int, Field(ge=0)] | Param
    """How many tokens the text has before its end is made likelier."""
    factor: Annotated[float, Field(gt=0)] | Param
    """Growth a token; below 1 the end is made less likely."""
    eos: Annotated[tuple[TokenId, ...], Field(min_length=1)]
    """Ids of the tokens that end the text."""

    def read(self, state: Tensor, logits: Tensor) -> Any:
        return promote(logits, self.eos, state, self.after, self.factor)

    def small(self, v: int) -> "LengthDecay":
        return self.model_copy(update={"after": min(self.after, 1), "eos": (v - 1,)})
