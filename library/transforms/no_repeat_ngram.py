"""No sequence of n tokens twice."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.history import forbid_repeats


class NoRepeatNGram(Stage):
    """No token that would complete n tokens which the text has already (Paulus et al., arXiv 1705.04304, section 2.5).

    What has been said is looked up in the text itself and in the path of each site, so nothing is carried from step to step; a
    drafter, which has no sites yet, does not follow it.
    """

    kind: ClassVar[str] = "transform.no_repeat_ngram"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    hard_mask: ClassVar[bool] = True

    size: Annotated[int, Field(ge=1, le=64)] = 3
    """n; 1 is no token twice."""
    prompt: bool = True
    """Whether the prompt's tokens are text too, as in transformers."""

    def compose(self, step: Any, logits: Any, stage: str) -> Any:
        return forbid_repeats(logits, step.said(self.prompt), self.size)

    def compose_text(self, logits: Tensor, texts: Any, text: Sequence[int]) -> Any:
        """`compose` for the text oracle."""
        said = [*texts.prompt, *text] if self.prompt else text
        return forbid_repeats(logits, torch.tensor(said, dtype=torch.long), self.size)

    def small(self, v: int) -> "NoRepeatNGram":
        return self.model_copy(update={"size": 2})
