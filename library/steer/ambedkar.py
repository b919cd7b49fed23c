"""AMBEDKAR: of the likeliest next tokens, prefer one that a counterfactual prompt would not have changed."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from penstock.dsl.names import ModelName, ViewName
from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.dsl.tokens import TokenId
from penstock.ir.op import op
from penstock.ir.ops.divergence import js, js_shares
from penstock.ir.ops.logits import over

Selection = Literal["argmax", "sample", "argmin"]


class Ambedkar(Stage):
    """AMBEDKAR (arXiv 2509.02133): candidates c are the k likeliest tokens, scored ``log p(c) - alpha D(c)``.

    p is the target's distribution as shaped so far. D(c) is how far the verifier's two branches are apart at c: one reads the
    request's prompt x, the other the counterfactual prompt x', and both read what has been generated.
    """

    kind: ClassVar[str] = "steer.ambedkar"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    shrinks: ClassVar[bool] = True

    model: ModelName
    """The verifier. The target itself may verify."""
    view: ViewName
    """Its branch on x': a view of this model with a prompt of its own."""
    fair: ViewName | None = None
    """Its branch on x; by default the model's own view."""
    alpha: Annotated[float, Field(ge=0)] | Param = 1.0
    """Weight of D, 1.0 in the authors' code (0.5 to 2 recommended; token-local D is small, at most (p+q) ln(2)/2)."""
    k: Annotated[int, Field(ge=1, le=1024)] = 5
    """Candidates (5 in the authors' code)."""
    penalty: Literal["local", "after"] = "local"
    """`local`: D(c) is c's share of the branches' divergence at its own site (what the authors' code runs). `after`: D(c) is the
    divergence of the branches once c is appended to both (what its docstring says); one more forward over k probes a site."""
    select: Selection = "argmax"
    """`argmax` (theirs), `sample` from ``softmax(log p / temperature - alpha D)``, or `argmin` of D (their version 1)."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Of log p where candidates are sampled."""
    exempt: tuple[TokenId, ...] = ()
    """Ids that are never penalised; list the end of text here, or it can be penalised into never stopping."""

    @model_validator(mode="after")
    def _exempt_from_a_penalty(self) -> Self:
        if self.exempt and self.select == "argmin":
            raise ValueError("argmin of D selects whatever is exempt from D; leave exempt out, or select by argmax")
        return self

    @model_validator(mode="after")
    def _two_branches(self) -> Self:
        if self.view == self.seat:
            raise ValueError(f"both branches are the view {self.view}, so nothing can move; name a counterfactual view")
        return self

    @property
    def room_a_site(self) -> int:
        """In-step nodes that it appends to its views at every site."""
        return self.k if self.penalty == "after" else 0

    @property
    def seat(self) -> str:
        """The name of the view that reads x."""
        return self.fair or self.model

    def views(self) -> dict[str, str]:
        return {self.seat: self.model, self.view: self.model}

    def compose(self, step: Any, logits: Any, stage: str) -> Any:
        tokens, log_p = candidates(logits, self.k)
        return self.selected(logits, tokens, log_p, self.moved(step, tokens))

    def moved(self, step: Any, tokens: Any) -> Any:
        """D of the candidates at every site, ``[b,sites,k]``."""
        if self.penalty == "local":
            return of_candidates(js_shares(step.beside(self.seat), step.beside(self.view)), tokens)
        return js(step.score_more(self.seat, tokens), step.score_more(self.view, tokens))

    def selected(self, logits: Any, tokens: Any, log_p: Any, moved: Any) -> Any:
        """Logits ``[...,v]`` that the selection is drawn from."""
        scores = scored(tokens, log_p, moved, self.alpha, self.temperature, self.exempt, self.select)
        return only_candidates(logits, tokens, scores, self.select != "sample")

    def compose_text(self, logits: Tensor, texts: Any, text: Sequence[int]) -> Any:
        """`compose` for the text oracle: one site, every branch from scratch."""
        tokens, log_p = candidates(logits, self.k)
        if self.penalty == "local":
            moved = js_shares(*(texts.logits(view, text) for view in self.views()))[tokens]
        else:
            appended = [[texts.logits(view, (*text, token)) for view in self.views()] for token in tokens.tolist()]
            moved = torch.stack([js(fair, swapped) for fair, swapped in appended])
        return self.selected(logits, tokens, log_p, moved)

    def small(self, v: int) -> "Ambedkar":
        return self.model_copy(update={"k": min(self.k, v - 1), "exempt": ()})


@op()
def candidates(logits: Float[Tensor, "*B V"], k: int) -> tuple[Int[Tensor, "*B K"], Float[Tensor, "*B K"]]:
    """``(tokens, log p)`` of the k likeliest tokens, the likeliest first, lowest id first on ties."""
    tokens = logits.sort(dim=-1, descending=True, stable=True).indices[..., :k]
    return tokens, logits.log_softmax(-1).gather(-1, tokens)


@op()
def of_candidates(values: Float[Tensor, "*B V"], tokens: Int[Tensor, "*B K"]) -> Float[Tensor, "*B K"]:
    """What the vocabulary has at the candidates."""
    return values.gather(-1, tokens)


@op()
def scored(
    tokens: Int[Tensor, "*B K"],
    log_p: Float[Tensor, "*B K"],
    moved: Float[Tensor, "*B K"],
    alpha: float | Float[Tensor, "B"],
    temperature: float,
    exempt: tuple[int, ...],
    select: Selection,
) -> Float[Tensor, "*B K"]:
    """``log p / T - alpha D`` where candidates are sampled, ``log p - alpha D``, or ``-D`` where only D counts."""
    moved = torch.where(torch.isin(tokens, torch.tensor(exempt, dtype=torch.long)), 0.0, moved)
    if select == "argmin":
        return torch.where(log_p.isneginf(), log_p, -moved)
    return log_p / (temperature if select == "sample" else 1.0) - over(alpha, log_p) * moved


@op()
def only_candidates(
    logits: Float[Tensor, "*B V"], tokens: Int[Tensor, "*B K"], scores: Float[Tensor, "*B K"], one: bool
) -> Float[Tensor, "*B V"]:
    """Scores at the candidates, -inf elsewhere; of the best alone if ``one`` (the likeliest candidate on ties)."""
    if one:
        best = scores.argmax(-1, keepdim=True)
        tokens = tokens.gather(-1, best)
        chosen = logits.gather(-1, tokens)
        scores = torch.where(chosen.isfinite(), 0.0, chosen)  # no support and no number stay seen
    return torch.full_like(logits, -torch.inf).scatter(-1, tokens, scores.to(logits))
