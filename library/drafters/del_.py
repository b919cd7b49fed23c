"""DEL: self-speculation whose exit layer and length follow the text."""

from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from penstock.dsl.names import ModelName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.op import op
from penstock.ir.ops.layers import head, layers_of
from penstock.ir.ops.sequence import put
from penstock.ir.ports import Commit, Draft
from penstock.library.drafters.layerskip import drafted


class Del(Stage):
    """Drafts with the first E layers, E and length chosen by tokens a layer from shadow tokens (DEL, arXiv 2504.05598).

    Every exit's states at the committed path go through the head: how often an exit agrees with the full model (alpha), and
    how sure it is when it does and when it does not (tau, between the two). Rows of a batch share the choice.
    """

    kind: ClassVar[str] = "drafter.del"
    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"
    law: ClassVar[str] = "iid"
    needs: ClassVar[frozenset[str]] = frozenset({"layers", "hidden"})
    decision: ClassVar[str] = "del.choice"

    model: ModelName
    """The verifier's own model: it drafts in the verifier's view."""
    exits: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    """The layers to choose from, all below the last."""
    longest: Annotated[int, Field(ge=1, le=64)] = 8
    """Most tokens drafted (the paper's gamma); 0 may be chosen, which is a plain forward."""
    omega: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Decay of the counts a step."""
    stop: bool = True
    """End a draft after a token less sure than tau."""
    mirror: bool = True
    """Draw under the target's own transforms."""

    @property
    def room(self) -> int:
        return self.longest

    @property
    def layers_needed(self) -> dict[str, int]:
        """The layers that a small model must have for it."""
        return {self.model: max(self.exits) + 1}

    @property
    def listens(self) -> tuple[str, ...]:
        return (self.model,)

    def views(self) -> dict[str, str]:
        return {self.model: self.model}

    def registers(self, rows: int, vocab: int) -> dict[str, Tensor]:
        shadow = torch.zeros(rows, len(self.exits), 2, 2, dtype=torch.float64)
        return {"del.shadow": shadow, "del.choice": torch.tensor([[self.exits[0], 1]]).repeat(rows, 1)}

    def propose(self, step: Any, stage: str) -> Draft | None:
        layer, length = step.bucket
        if not length:
            return None
        tau = between(step.read("del.shadow"), self.exits.index(layer)) if self.stop else None
        return drafted(step, self.model, stage, layer, length, tau)

    def learn(self, step: Any, commit: Commit, stage: str) -> None:
        states = layers_of(*(step.scored.hidden[layer - 1] for layer in self.exits))
        seen = agreement(head(f"view:{self.model}", states), step.scored.raw, commit.count)
        shadow = decayed(step.read("del.shadow"), seen, self.omega)
        put("reg:del.shadow", shadow)
        put("reg:del.choice", choice(shadow, step.live, self.exits, step.model(self.model).layers, self.longest))

    def small(self, v: int) -> "Del":
        return self.model_copy(update={"exits": (1, 2), "longest": min(self.longest, 2)})


@op()
def agreement(
    shadow: Float[Tensor, "B E S V"], full: Float[Tensor, "B S V"], count: Int[Tensor, "B"]
) -> Float[Tensor, "B E 2 2"]:
    """By exit, over the first ``count`` sites of a chain, which are the committed path: for matches and for mismatches with the
    full model's argmax, how many ``[:,:,0]`` and the sum of their confidence ``[:,:,1]``.
    """
    chance = shadow.double().softmax(-1)
    token = chance.argmax(-1, keepdim=True)
    match = token[..., 0] == full.argmax(-1)[:, None]
    seen = (torch.arange(full.shape[1]) < count[:, None])[:, None]
    sides = torch.stack([match & seen, ~match & seen], -1).double()
    return torch.stack([sides.sum(2), (sides * chance.gather(-1, token)).sum(2)], 2)


@op()
def decayed(old: Float[Tensor, "B *X"], new: Float[Tensor, "B *X"], omega: float) -> Float[Tensor, "B *X"]:
    """``omega old + new``: sums, not means."""
    return omega * old + new


@op()
def between(shadow: Float[Tensor, "B E 2 2"], exit_index: int) -> Float[Tensor, "B"]:
    """tau: halfway between an exit's mean confidence in matches and in mismatches; 0 until it has seen both."""
    counts, sums = shadow[:, exit_index, 0], shadow[:, exit_index, 1]
    return torch.where((counts > 0).all(-1), (sums / counts.clamp(min=1e-30)).mean(-1), 0.0)


def tokens_a_layer(alpha: Tensor, exits: tuple[int, ...], layers: int, longest: int) -> Float[Tensor, "B G E"]:
    """``TPL(l, g) = (1 + alpha_l + ... + alpha_l^g) / (L + g l)`` for g = 0 to ``longest``, alpha ``[b,e]``.

    The denominator is all there is: g + 1 columns through l layers and through the L - l others in one call count
    ``(L - l) + (g + 1) l``.
    """
    g = torch.arange(longest + 1)[:, None]
    return (alpha[:, None] ** g).cumsum(1) / (layers + g * torch.tensor(exits))


@op("host", couples_rows=True)
def choice(
    shadow: Float[Tensor, "B E 2 2"], live: Bool[Tensor, "B"], exits: tuple[int, ...], layers: int, longest: int
) -> Int[Tensor, "B 2"]:
    """``(exit layer, length)`` with the most tokens a layer over the running rows, the shortest on ties: one for all rows."""
    counts = shadow[:, :, 0]
    alpha = counts[..., 0] / counts.sum(-1).clamp(min=1e-30)
    best = int(tokens_a_layer(alpha, exits, layers, longest)[live].sum(0).argmax())
    chosen = torch.tensor([exits[best % len(exits)], best // len(exits)])
    return chosen.expand(len(shadow), -1)
