"""How a batch becomes a loss: one function per recipe."""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from penstock.library.zoo import path
from penstock.library.zoo.train import losses
from penstock.library.zoo.train.batches import Batch
from penstock.library.zoo.train.plans import Plan

Recipe = Callable[[PreTrainedModel, Batch, int], Tensor]


def language(plan: Plan, mask: int) -> Recipe:
    """Predict the next token of the text."""

    def loss(model: PreTrainedModel, batch: Batch, step: int) -> Tensor:
        logits = model(batch.ids[:, :-1], use_cache=False).logits
        return losses.next_token(logits, batch.ids[:, 1:], batch.weights[:, 1:])

    return loss


def distillation(plan: Plan, mask: int) -> Recipe:
    """Predict what the teacher predicts at every position of the text."""
    teacher = frozen_teacher(plan)

    def loss(model: PreTrainedModel, batch: Batch, step: int) -> Tensor:
        with torch.no_grad():
            wanted = teacher(batch.ids[:, :-1], use_cache=False).logits
        return losses.divergence(model(batch.ids[:, :-1], use_cache=False).logits, wanted, batch.weights[:, 1:])

    return loss


def masked_diffusion(plan: Plan, mask: int) -> Recipe:
    """Predict the hidden tokens of a text from all the others, those that follow included."""

    def loss(model: PreTrainedModel, batch: Batch, step: int) -> Tensor:
        tokens, weights = batch.ids[:, :-1], batch.weights[:, :-1]
        hidden, rate = losses.draw_mask(tokens.shape, step, plan.seed)
        return losses.masked_token(see_all(model, tokens.masked_fill(hidden, mask)), tokens, hidden, rate, weights)

    return loss


RECIPES: dict[str, Callable[[Plan, int], Recipe]] = {
    "language": language,
    "distillation": distillation,
    "masked-diffusion": masked_diffusion,
}


def frozen_teacher(plan: Plan) -> PreTrainedModel:
    """The teacher the plan names, as the zoo holds it."""
    from transformers import AutoModelForCausalLM

    teacher = AutoModelForCausalLM.from_pretrained(path(plan.teacher or ""), dtype=torch.float32)
    return teacher.eval().requires_grad_(False)


def see_all(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Logits [B T V] where every position attends to every other: the four-dimensional mask replaces the causal one."""
    rows, length = ids.shape
    return model(ids, attention_mask=torch.zeros(rows, 1, length, length), use_cache=False).logits
