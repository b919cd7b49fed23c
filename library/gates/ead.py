"""Entropy adaptive decoding: a small and a large model take turns, switched by the rolling entropy of whichever is active."""

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from penstock.dsl.names import ModelName
from penstock.dsl.param import Param
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.ops.logits import entropy_bits
from penstock.library.verifiers.model import Acceptor, RuleName
from penstock.library.verifiers.switched import SwitchedVerifier, differ

SMALL, LARGE = 0, 1
State = dict[str, Tensor]


class EntropyGate(Stage):
    """The controller as an automaton on the path; every token that would change the model closes the step.

    State: ``recent [w]`` entropies in bits, oldest first, 0 where there are none yet; ``filled``, how many there are; ``dwell``,
    tokens by the present model since the last switch; ``active``, the model of the next token. It closes the step because all
    that was drafted below such a token was scored by the model that has just lost its turn.
    """

    kind: ClassVar[str] = "gate.entropy"
    role: ClassVar[Role] = "gate"
    effect: ClassVar[Effect] = "steers"
    raw_wanted: ClassVar[bool] = True

    tau: float | Param = 1.0
    """Bits of mean entropy above which the large model decodes (values in the paper not known; sweep 0.25 to 3)."""
    window: Annotated[int, Field(ge=1, le=4096)] = 5
    """Entropies in the mean (w = 5 by a secondary source); before there are as many, the mean is over those there are."""
    d_min: Annotated[int, Field(ge=1)] = 10
    """Tokens that a model decodes before it can lose its turn (the paper's value is not known)."""
    first: Literal["small", "large"] = "small"
    """The model that begins."""
    reset_on_switch: bool = False
    """Forget the entropies when the model changes; the rule as published keeps them."""

    def start(self, prompt: list[int], vocab: int) -> State:
        zero = torch.tensor(0)
        active = torch.tensor(LARGE if self.first == "large" else SMALL)
        return dict(recent=torch.zeros(self.window, dtype=torch.float64), filled=zero, dwell=zero, active=active)

    def step(self, state: State, token: Tensor, raw: Tensor) -> State:
        return self.after(state, entropy_bits(raw))

    def cut(self, state: State, raw: Tensor) -> Tensor:
        return self.after(state, entropy_bits(raw))["active"] != state["active"]

    def after(self, state: State, entropy: Tensor) -> State:
        """The state once the active model, at this entropy, has given one more token; the rule is applied to its successor."""
        recent = torch.cat([state["recent"][1:], entropy.to(state["recent"])[None]])
        filled = (state["filled"] + 1).clamp(max=self.window)
        dwell = state["dwell"] + 1
        wanted = torch.where(recent.sum() / filled > self.tau, LARGE, SMALL)
        active = torch.where(dwell >= self.d_min, wanted, state["active"])
        switched = active != state["active"]
        forgotten = switched & self.reset_on_switch
        return dict(
            recent=torch.where(forgotten, 0.0, recent),
            filled=torch.where(forgotten, 0, filled),
            dwell=torch.where(switched, 0, dwell),
            active=active,
        )

    def small(self, v: int) -> "EntropyGate":
        return self.model_copy(update={"tau": 0.7 * math.log2(v), "window": 2, "d_min": 1})


class EntropyAdaptive(EntropyGate):
    """Entropy adaptive decoding (EAD, arXiv 2502.06833), the variant in which a switch takes effect with the next token.

    It scores, gates and accepts, so it stands where a verifier would. The entropy is of raw logits: temperature, penalties and
    masks after it do not change who decodes. At ``tau`` beyond every entropy it is its first model alone or the other one.
    """

    kind: ClassVar[str] = "gate.ead"

    models: Annotated[tuple[ModelName, ModelName], Field(examples=["[small, large]"])]
    """The small and the large model."""
    rule: RuleName = "auto"
    """How drafts are accepted, as in verifier.model."""

    _differ = field_validator("models")(differ)

    def parts(self) -> tuple[Stage, ...]:
        gate = EntropyGate(**{name: getattr(self, name) for name in EntropyGate.model_fields})
        parts = SwitchedVerifier(models=self.models, by=f"{gate.kind}.0"), gate, Acceptor(rule=self.rule)
        return tuple(self.here(part) for part in parts)


def published_cost(share: float, ratio: float) -> float:
    """Cost relative to the large model as published: ``share`` of tokens by it, parameter ``ratio`` small over large."""
    return share + (1 - share) * ratio


def honest_cost(small_columns: int, large_columns: int, tokens: int, ratio: float) -> float:
    """The same with every column that either model was fed, catching up included, over one large column a token."""
    return (small_columns * ratio + large_columns) / tokens
