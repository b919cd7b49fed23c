"""Hidden thoughts: a marker token reads, in place of its embedding, what a helper model is about to think there."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from penstock.dsl.names import ModelName, ViewName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.tokens import TokenId
from penstock.ir.errors import PenstockError
from penstock.ir.ops.inject import at_root, inject
from penstock.ir.region import cond_rows
from penstock.library.verifiers.model import ModelVerifier


class HiddenThought(ModelVerifier):
    """Hidden chain of thought (HCoT, arXiv 2409.08561): one forward of a helper stands for a thought that is never decoded.

    When the target has emitted the marker, the helper reads its own view of the text up to and including it, and its last
    hidden state (before the final norm) is what the target reads there. Steps end at a marker, because whatever a drafter
    guesses beyond it was scored without the thought. A marker in the prompt is a plain token.
    """

    kind: ClassVar[str] = "verifier.hcot"
    role: ClassVar[Role] = "scorer"
    effect: ClassVar[Effect] = "steers"
    needs: ClassVar[frozenset[str]] = frozenset({"tree", "embeds", "hidden"})

    helper: ModelName
    """The model whose hidden state is read; as wide as the target."""
    marker: TokenId
    """Id of the token that stands for a thought."""
    helper_view: ViewName | None = None
    """Where the helper reads the text; by default a view of its own, on the request's prompt."""

    @property
    def helper_seat(self) -> str:
        """The name of the view that the helper reads in."""
        return self.helper_view or f"helper:{self.helper}"

    def views(self) -> dict[str, str]:
        return {self.seat: self.model, self.helper_seat: self.helper}

    def start(self, prompt: list[int], vocab: int) -> Tensor:
        """Path state: whether the last token is a marker."""
        return torch.tensor(False)

    def step(self, state: Tensor, token: Tensor, raw: Any) -> Tensor:
        return token == self.marker

    def end(self, state: Tensor) -> Tensor:
        return state

    def prepare(self, step: Any, stage: str) -> None:
        """Think before anything is drafted: a drafter may read the root in the target's own view."""
        widths = {model: step.model(view).width for view, model in self.views().items()}
        if len({width for width in widths.values() if width}) > 1:  # 0: not known yet
            told = " and ".join(f"{model} is {width} wide" for model, width in widths.items())
            raise PenstockError(f"stage {stage} puts what one model holds into another: {told}", fix="name a helper as wide")
        step.rewritten[self.seat] = stage
        cond_rows(step.read(stage), lambda: self.think(step), [], label="think")

    def think(self, step: Any) -> list[Any]:
        """Where the root is a marker: catch the helper up to it, and let the target read what the helper holds there."""
        _, hidden = step.forward(self.helper_seat, want_hidden=True)
        inject(f"view:{self.seat}", "seq", at_root(hidden[-1]), step.length - 1)
        return []

    def text_logits(self, texts: Any, text: Sequence[int]) -> Any:
        """What it scores after a text, by definition."""
        marked = [t for t, token in enumerate(text) if token == self.marker]
        return texts.logits(self.seat, text, {t: texts.hidden(self.helper_seat, text[: t + 1]) for t in marked})

    def small(self, v: int) -> "HiddenThought":
        return self.model_copy(update={"marker": 1})
