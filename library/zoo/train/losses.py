"""What each recipe minimises, on tensors alone."""

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """The mean of values [B T] by weights [B T]."""
    return (values * weights).sum() / weights.sum()


def next_token(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean surprise, in nats, at the tokens that follow: logits [B T V], targets and weights [B T]."""
    surprise = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
    return weighted_mean(surprise.view_as(targets), weights)


def divergence(student: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
    """Mean KL(teacher || student) over positions, in nats: logits [B T V] of both, weights [B T]."""
    q, p = F.log_softmax(student.float(), -1), F.log_softmax(teacher.float(), -1)
    return weighted_mean((p.exp() * (p - q)).sum(-1), weights)


def masked_token(logits: Tensor, tokens: Tensor, masked: Tensor, rate: Tensor, weights: Tensor) -> Tensor:
    """A bound on the surprise of a row (Sahoo et al. 2024; Nie et al. 2025): surprise at masked tokens, each / rate.

    logits [N V] at the N masked places in order, tokens and weights [B T], masked [B T] bool, rate [B].
    """
    surprise = F.cross_entropy(logits.float(), tokens[masked], reduction="none")
    return (surprise * (weights / rate[:, None])[masked]).sum() / weights.sum()


def draw_mask(shape: torch.Size, step: int, seed: int) -> tuple[Tensor, Tensor]:
    """Which tokens are hidden and at what rate, per row: a function of the step, so that resuming is exact."""
    uniforms = torch.Generator().manual_seed(seed * 1_000_003 + step)
    # Rates spread evenly over the rows of a batch have the same law as independent ones and less variance.
    offset = torch.rand((), generator=uniforms)
    rate = (torch.arange(shape[0]) / shape[0] + offset) % 1 * 0.98 + 0.02
    return torch.rand(shape, generator=uniforms) < rate[:, None], rate
