"""Tiny transformers, with a cache and without: what they say depends on the whole text, so a lost token anywhere shows."""

import torch
from tiny_models import tiny_model


def weights(kind, seed=5):
    """A transformer of its own that is the same every time."""
    torch.manual_seed(seed)
    return tiny_model(kind, seed=seed)


class Whole:
    """A transformer that keeps nothing, with the two methods by which oracles read models."""

    def __init__(self, kind, seed=5):
        self.model = weights(kind, seed)

    def embed(self, ids):
        return ids

    def from_scratch(self, ids):
        with torch.inference_mode():
            return self.model(ids[None]).logits[0].double()
