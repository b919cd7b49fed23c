"""Logits of three sites over 97 tokens, with what makes transforms stumble."""

import torch

B, V = 3, 97
NONE = -torch.inf


def random(seed: int = 0) -> torch.Tensor:
    return torch.randn(B, V, generator=torch.Generator().manual_seed(seed)) * 3


def masked() -> torch.Tensor:
    """Two thirds forbidden, another third in every row."""
    return random(1).masked_fill((torch.arange(V) + torch.arange(B)[:, None]) % 3 > 0, NONE)


def one_token() -> torch.Tensor:
    """A support of one token."""
    return torch.full((B, V), NONE).scatter(1, torch.tensor([[4], [96], [0]]), 1.5)


SITES = {
    "random": random(),
    "sharp": random(2) * 6,
    "flat": random(3) / 50,
    "masked": masked(),
    "ties": random(4).round(),
    "equal": torch.zeros(B, V),
    "one_token": one_token(),
    "bf16": random(5).bfloat16(),
    "masked_bf16": masked().bfloat16(),
}
TIED = ("ties", "equal", "bf16", "masked_bf16")
