"""Table models of several layers that mostly agree, and what their early exits say from scratch."""

from collections.abc import Sequence
from typing import Any

import torch

from penstock.backends.enumerate.certify import Certificate, Small, certify
from penstock.backends.runtime.table import TableModel
from penstock.library import ModelVerifier
from penstock.passes.order import elaborate

TARGET = ModelVerifier(model="target")


def agreeing(vocab: int, seed: int, pulls: Sequence[float], noise: float = 0.6) -> TableModel:
    """A model of ``1 + len(pulls)`` layers; each pulls a token that the layer before it says towards itself so strongly."""
    model = TableModel(vocab, seed, 1 + len(pulls))
    for layer, pull in enumerate(pulls, 1):
        model.tables[layer] *= noise
        for token in range(vocab):
            model.tables[layer, token, :, token] += pull
    return model


def certified(drafter: Any, *shape: Any, limit: int = 4, batch: int = 1, eos: Sequence[int] = (), seed: int = 3) -> Certificate:
    """The drafter over three layers that pull weakly, so that all it can decide is decided in some world."""
    prompts = [[2, 0, 1], [1], [0, 2]][:batch]
    small = Small({"target": agreeing(3, seed, (1.5, 3))}, {"target": prompts}, tuple(eos), limit)
    return certify(elaborate([drafter, TARGET, *shape]), elaborate([TARGET, *shape]), small)


def exits(model: TableModel, text: Sequence[int]) -> list[torch.Tensor]:
    """Logits ``[t,v]`` after every token of a text, by layer, the last layer's last; from scratch."""
    vectors = model.embed(torch.tensor(text))
    return [model.from_scratch(vectors, layer) for layer in range(1, model.layers + 1)]
