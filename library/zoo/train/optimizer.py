"""AdamW with a linear warm-up and a linear way down to nothing."""

import re

import torch
from transformers import PreTrainedModel

from penstock.library.zoo.train.plans import Plan


def rate(plan: Plan, step: int, steps: int) -> float:
    """The learning rate of ``step`` out of ``steps``."""
    rising = (step + 1) / plan.warmup
    falling = (steps - step) / max(1, steps - plan.warmup)
    return plan.peak * min(1.0, rising, falling)


def freeze(model: PreTrainedModel, patterns: tuple[str, ...]) -> None:
    """Stop training the parameters whose name matches one of ``patterns``."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(re.search(pattern, name) for pattern in patterns))


def adamw(plan: Plan, model: PreTrainedModel) -> torch.optim.AdamW:
    """Weight decay falls on matrices only: norms have no direction to shrink."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trained if each.dim() > 1], "weight_decay": plan.decay},
        {"params": [each for each in trained if each.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.peak, betas=(0.9, 0.98), eps=1e-8)
