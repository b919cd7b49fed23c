"""Which layers are asked about the same columns, found by one call."""

import pytest
import torch
from tiny_models import tiny_model
from torch import nn

from penstock.backends.runtime.hf.together import asked_together

WIDTH = 6


def named(model):
    """The groups of a model's linear layers by name."""
    names = {module: name for name, module in model.named_modules() if type(module) is nn.Linear}
    return [sorted(names[layer].rpartition(".")[2] for layer in group) for group in asked_together(model, list(names))]


def test_a_llama_asks_three_layers_the_same_and_then_two():
    layer = [["k_proj", "q_proj", "v_proj"], ["o_proj"], ["gate_proj", "up_proj"], ["down_proj"]]
    found = named(tiny_model("llama"))
    assert found == layer * (len(found) // 4) + [["lm_head"]] and len(found) > 4


class Asking(nn.Module):
    """Two layers of which the second is asked as ``between`` says."""

    def __init__(self, between):
        super().__init__()
        self.one, self.two, self.between = nn.Linear(WIDTH, 4), nn.Linear(WIDTH, WIDTH), between

    def forward(self, input_ids, use_cache):
        x = input_ids[..., None] + torch.arange(1.0, 1 + WIDTH)
        return self.one(x), self.two(self.between(self, x))


@pytest.mark.parametrize(
    ("between", "groups"),
    [
        (lambda model, x: x, [["one", "two"]]),
        (lambda model, x: x.clone(), [["one"], ["two"]]),  # equal, and yet another tensor
        (lambda model, x: x.mul_(2), [["one"], ["two"]]),  # the same tensor, and yet other columns
        (lambda model, x: model.two(x) * 0 + x, [["one"], ["two"]]),  # asked twice
        (lambda model, x: x.missing, [["one"], ["two"]]),  # the model cannot be called
    ],
)
def test_only_what_is_asked_the_same_is_together(between, groups):
    assert named(Asking(between)) == groups


def test_a_model_is_left_without_hooks():
    model = tiny_model("llama")
    named(model)
    assert not any(module._forward_pre_hooks for module in model.modules())
