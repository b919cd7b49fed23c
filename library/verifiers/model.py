"""The target model, and how its verdict on a draft is reached."""

from typing import Any, ClassVar, Literal

from penstock.dsl.names import ModelName, ViewName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.logits import greedy
from penstock.ir.ports import Scored

RuleName = Literal["auto", "kseq", "block", "recursive", "match", "coupled", "greedy"]


class Acceptor(Stage):
    """The walk from root to leaf that selects what is committed; it runs last, wherever it stands."""

    kind: ClassVar[str] = "acceptor.walk"
    role: ClassVar[Role] = "acceptor"
    effect: ClassVar[Effect] = "steers"

    rule: RuleName = "auto"
    """`auto` takes the rule that is exact for the draft's law; another is refused where it does not fit. `block`: one path judged
    as a whole. `match`, `coupled`: one draw, looked up in the draft, so a seed gives the same tokens with any drafter; `coupled`
    has the drafter draw on that same noise. `greedy`: the likeliest token, whatever the draft."""

    @property
    def one_hot(self) -> bool:  # type: ignore[override]
        """Whether it leaves one token, the likeliest."""
        return self.rule == "greedy"

    def transform(self, logits: Any) -> Any:
        """What it selects from, as its rule shapes it."""
        return greedy(logits) if self.one_hot else logits


class ModelVerifier(Stage):
    """Scores the root and every draft node with one forward of the target, and names the acceptance rule."""

    kind: ClassVar[str] = "verifier.model"
    role: ClassVar[Role] = "scorer"
    effect: ClassVar[Effect] = "steers"

    model: ModelName
    rule: RuleName = "auto"
    view: ViewName | None = None
    """The view to score in; by default the model's own, on the request's prompt."""

    @property
    def seat(self) -> str:
        """The name of the view that it scores in."""
        return self.view or self.model

    def parts(self) -> tuple[Stage, ...]:
        return self, self.here(Acceptor(rule=self.rule))

    def views(self) -> dict[str, str]:
        return {self.seat: self.model}

    def score(self, step: Any, stage: str) -> Scored:
        scored: Scored = step.score(self.seat)
        return scored

    def small(self, v: int) -> "ModelVerifier":
        return self
