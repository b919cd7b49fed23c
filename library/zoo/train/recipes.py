"""How a batch becomes a loss: one function per recipe."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from penstock.ir.errors import PenstockError
from penstock.library.zoo import markers
from penstock.library.zoo.train import losses
from penstock.library.zoo.train.batches import NONE, Batch
from penstock.library.zoo.train.plans import Plan
from penstock.library.zoo.weights import load

Recipe = Callable[[PreTrainedModel, Batch, int], Tensor]


def language(plan: Plan, mask: int) -> Recipe:
    """Predict the next token of the text."""

    def loss(model: PreTrainedModel, batch: Batch, step: int) -> Tensor:
        return losses.next_token(model(batch.ids[:, :-1], use_cache=False).logits, batch.ids[:, 1:], batch.weights[:, 1:])

    return loss


def judging(plan: Plan, mask: int) -> Recipe:
    """Predict which of the two verdicts holds, wherever one is given, and nothing else.

    Only the verdicts' own rows of the head are asked: what a model says besides, it may go on saying.
    """

    def loss(model: PreTrainedModel, batch: Batch, step: int) -> Tensor:
        if batch.verdicts is None:
            raise PenstockError("its documents hold no verdicts", where=plan.name, fix="plan it with the documents 'judged'")
        given = batch.verdicts[:, :-1]
        told = states(model, batch.ids[:, :-1])[given != NONE]
        good, bad = markers.VERDICTS
        both = F.linear(told, head(model).weight[[good, bad]])
        return F.cross_entropy(both.float(), (given[given != NONE] == bad).long())

    return loss


def distillation(plan: Plan, mask: int) -> Recipe:
    """Predict what the teacher predicts at every position of the text."""
    teacher = load(plan.teacher or "").requires_grad_(False)

    def loss(model: PreTrainedModel, batch: Batch, step: int) -> Tensor:
        teacher.to(batch.ids.device)  # type: ignore[arg-type]
        with torch.no_grad():
            wanted = teacher(batch.ids[:, :-1], use_cache=False).logits
        return losses.divergence(model(batch.ids[:, :-1], use_cache=False).logits, wanted, batch.weights[:, 1:])

    return loss


def masked_diffusion(plan: Plan, mask: int) -> Recipe:
    """Predict the hidden tokens of a text from all the others, those that follow included; what has no weight is never hidden."""

    def loss(model: PreTrainedModel, batch: Batch, step: int) -> Tensor:
        tokens, weights = batch.ids[:, :-1], batch.weights[:, :-1]
        hidden, rate = (each.to(tokens.device) for each in losses.draw_mask(tokens.shape, step, plan.seed))
        hidden &= weights > 0
        told = states(model, tokens.masked_fill(hidden, mask), all_ways(model, tokens))[hidden]
        return losses.masked_token(head(model)(told), tokens, hidden, rate, weights)

    return loss


RECIPES: dict[str, Callable[[Plan, int], Recipe]] = {
    "language": language,
    "judging": judging,
    "distillation": distillation,
    "masked-diffusion": masked_diffusion,
}


def see_all(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Logits [B T V] where every position attends to every other."""
    logits: Tensor = model(ids, attention_mask=all_ways(model, ids), use_cache=False).logits
    return logits


def all_ways(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """The mask [B 1 T T] that takes the causal one's place and hides nothing."""
    rows, length = ids.shape
    return torch.zeros(rows, 1, length, length, device=ids.device, dtype=model.dtype)


def states(model: PreTrainedModel, ids: Tensor, seen: Tensor | None = None) -> Tensor:
    """What the head is given [B T D]: of a small model the head is half of the cost, so it is asked only where it counts."""
    told: Tensor = model.base_model(ids, attention_mask=seen, use_cache=False).last_hidden_state
    return told


def head(model: PreTrainedModel) -> torch.nn.Linear:
    """The layer that makes logits of states."""
    return cast(torch.nn.Linear, model.get_output_embeddings())
