"""How likely the committed tokens were."""

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.op import op
from penstock.ir.ops.sequence import put
from penstock.ir.ports import Commit

LOGPROBS = "tap.logprobs"


class Logprobs(Stage):
    """The natural logarithm of the probability of each token that the last step committed, at the site it was selected from."""

    kind: ClassVar[str] = "tap.logprobs"
    role: ClassVar[Role] = "tap"
    effect: ClassVar[Effect] = "accelerates"

    of: Literal["raw", "composed"] = "raw"
    """Of the model's own logits, or of what the token was selected from, temperature and masks included."""

    def registers(self, rows: int, vocab: int) -> dict[str, Tensor]:
        return {LOGPROBS: torch.zeros(rows, 1)}

    def learn(self, step: Any, commit: Commit, stage: str) -> None:
        logits = step.scored.raw if self.of == "raw" else step.scored.composed
        put(f"reg:{LOGPROBS}", logprobs(logits, commit.node, commit.token))

    def small(self, v: int) -> "Logprobs":
        return self


@op()
def logprobs(logits: Float[Tensor, "B S V"], node: Int[Tensor, "B M"], token: Int[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """``log softmax(logits[b, node])[token]``; beyond the last committed token anything finite."""
    rows = torch.arange(len(node), device=node.device)[:, None]
    at = logits[rows, node.clamp(min=0)].float()
    found: Tensor = (at.gather(-1, token.clamp(min=0)[..., None])[..., 0] - at.logsumexp(-1)).clamp(min=torch.finfo(at.dtype).min)
    return found
