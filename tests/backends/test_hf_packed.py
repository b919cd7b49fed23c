"""Packed weights compute what the layer computes; which of the two is asked depends on the work, never on the result."""

import importlib

import pytest
import torch
from tiny_models import tiny_model
from torch import Tensor, nn
from torch.nn.functional import linear

from penstock.backends.runtime import hf
from penstock.library import zoo

packing = importlib.import_module("penstock.backends.runtime.hf.packed")
OUT, IN = 700, 96


@pytest.fixture
def asked(monkeypatch):
    """What torch's own product was asked for, by columns."""
    seen: list[int] = []

    def watched(x: Tensor, *weights: Tensor | None) -> Tensor:
        seen.append(x.numel() // x.shape[-1])
        return linear(x, *weights)

    monkeypatch.setattr(packing, "linear", watched)
    return seen


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("columns", [1, 7, 8, 40])
def test_a_packed_layer_is_the_layer(bias, columns, asked):
    torch.manual_seed(columns)
    layer, x = nn.Linear(IN, OUT, bias=bias), torch.randn(3, columns, 2 * IN)[..., ::2]
    with torch.no_grad():
        wanted = layer(x)
        (found,) = [module(x) for module in packing.packed(nn.Sequential(layer))]
    assert found.shape == (3, columns, OUT)
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6)
    assert asked == ([3 * columns] if 3 * columns * OUT * IN < packing.FEW else [])


def test_gradients_go_through_the_layer_itself(asked):
    (layer,) = packing.packed(nn.Sequential(nn.Linear(IN, OUT)))
    layer(torch.randn(50, IN)).sum().backward()
    assert asked == [50] and layer.weight.grad is not None


def test_layers_are_left_alone_where_there_is_no_room(monkeypatch):
    size = 4 * OUT * IN
    for free, fits in ((size / packing.SPARE, False), (size / packing.SPARE + 1, True), (None, True)):
        monkeypatch.setattr(packing, "free_memory", lambda free=free: free)
        (layer,) = packing.packed(nn.Sequential(nn.Linear(IN, OUT)))
        assert isinstance(layer.forward, packing.PackedLinear) == fits


@pytest.mark.parametrize(
    "layer", [nn.Linear(IN, OUT, dtype=torch.bfloat16), nn.Linear(IN, OUT, dtype=torch.float64), nn.Conv1d(4, 4, 1)]
)
def test_other_layers_are_left_alone(layer):
    (same,) = packing.packed(nn.Sequential(layer))
    assert not isinstance(same.forward, packing.PackedLinear)


def test_a_model_that_is_loaded_is_packed_and_says_the_same():
    loaded = hf.load(str(zoo.path("drafter-tiny")))
    alone = hf.pretrained(str(zoo.path("drafter-tiny")))
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert type(loaded.model.lm_head.forward) is packing.PackedLinear
        torch.testing.assert_close(loaded.model(ids).logits, alone(ids).logits, rtol=0, atol=1e-4)


def test_a_model_of_the_caller_is_left_alone():
    """Its weights may change: only a model that nobody else holds is packed."""
    wrapped = hf.wrapped(tiny_model("llama"), "mine")
    assert not [m for m in wrapped.model.modules() if isinstance(getattr(m, "forward", None), packing.PackedLinear)]
