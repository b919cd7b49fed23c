"""Muon for the matrices between layers, AdamW for the rest; a linear warm-up and a linear way down to nothing."""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch.optim import AdamW, Muon, Optimizer
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


class Optimizers:
    """Two optimizers that step as one; their tensors go to a checkpoint by ``optimizer.parameter.moment``."""

    def __init__(self, plan: Plan, model: PreTrainedModel) -> None:
        trained = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
        inner = [each for name, each in trained if each.dim() == 2 and "embed" not in name]
        outer = [each for name, each in trained if each.dim() != 2 or "embed" in name]
        # Updates of the size AdamW's would have, so that one learning rate serves both.
        matched: dict[str, Any] = {"adjust_lr_fn": "match_rms_adamw", "weight_decay": plan.decay}
        self.each: list[Optimizer] = [Muon(inner, lr=plan.peak, **matched)] if inner else []
        # Words of one kind share a direction; decay would wear away what tells them apart, and copying them needs just that.
        self.each += [AdamW(outer, lr=plan.peak, betas=(0.9, 0.98), weight_decay=0.0)] if outer else []

    def step(self, rate: float) -> None:
        """One step of both at learning rate ``rate``."""
        for optimizer in self.each:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for optimizer in self.each:
            optimizer.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor of the state by name."""
        return {f"{at}.{index}.{name}": value for at, index, name, value in self._entries()}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take up the state ``tensors`` describe."""
        for at, optimizer in enumerate(self.each):
            state: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in tensors.items():
                owner, index, name = key.split(".")
                if int(owner) == at:
                    state.setdefault(int(index), {})[name] = value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})

    def _entries(self) -> Iterator[tuple[int, int, str, Any]]:
        for at, optimizer in enumerate(self.each):
            for index, moments in optimizer.state_dict()["state"].items():
                yield from ((at, index, name, value) for name, value in moments.items())
