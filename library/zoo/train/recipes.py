"""How a batch becomes a loss: one function per recipe."""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from penstock.library.zoo import markers
from penstock.library.zoo.train import losses
from penstock.library.zoo.train.batches import NONE, Batch
from penstock.library.zoo.train.plans import Plan
from penstock.library.zoo.weights import load

Recipe = Callable[[PreTrainedModel, Batch, int], Tensor]


def language(plan: Plan, mask: int) -> Recipe:
    """Predict the next token of the text or, where there is a verdict on it, which of the two it is."""

    def loss(model: PreTrainedModel, batch: Batch, step: int) -> Tensor:
        logits = model(batch.ids[:, :-1], use_cache=False).logits
        if batch.verdicts is not None:
            # A model that starts from another has learnt never to say a marker; unlearning that would cost it the rest.
            logits = losses.among(logits, batch.verdicts[:, :-1] != NONE, markers.VERDICTS)
        return losses.next_token(logits, *batch.following())

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
    """Predict the hidden tokens of a text from all the others, those that follow included."""

    def loss(model: PreTrainedModel, batch: Batch, step: int) -> Tensor:
        tokens, weights = batch.ids[:, :-1], batch.weights[:, :-1]
        hidden, rate = (each.to(tokens.device) for each in losses.draw_mask(tokens.shape, step, plan.seed))
        return losses.masked_token(see_all(model, tokens.masked_fill(hidden, mask)), tokens, hidden, rate, weights)

    return loss


RECIPES: dict[str, Callable[[Plan, int], Recipe]] = {
    "language": language,
    "distillation": distillation,
    "masked-diffusion": masked_diffusion,
}


def see_all(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Logits [B T V] where every position attends to every other: the four-dimensional mask replaces the causal one."""
    rows, length = ids.shape
    seen = torch.zeros(rows, 1, length, length, device=ids.device, dtype=model.dtype)
    logits: Tensor = model(ids, attention_mask=seen, use_cache=False).logits
    return logits
