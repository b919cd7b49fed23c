"""Weights of the zoo, checked and loaded."""

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from penstock.library.zoo import path


def load(name: str) -> PreTrainedModel:
    """A model of the zoo in float32, not to be trained on."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(path(name), dtype=torch.float32)
    model.train(False)
    return model
