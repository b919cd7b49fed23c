"""Packed weights compute what the layer computes; which of the two is asked depends on the work, never on the result."""

import pytest
import torch
from tiny_models import tiny_model
from torch import Tensor, nn
from torch.nn.functional import linear

from penstock.backends.runtime import hf
from penstock.backends.runtime.hf import packing
from penstock.library import zoo

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


@pytest.fixture
def multiplied(monkeypatch):
    """How often oneDNN was asked."""
    times: list[int] = []
    product = torch.ops.mkldnn._linear_pointwise
    monkeypatch.setattr(packing, "FEW", 0)
    monkeypatch.setattr(packing, "multiply", lambda *given: times.append(1) or product(*given))
    return times


class Siblings(nn.Module):
    """Three layers that are asked about the same columns, one of them after another layer and with a bias."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(IN, n, bias=n == 9) for n in (OUT, 9, 30))
        self.down = nn.Linear(9, IN)

    def forward(self, input_ids, use_cache=False):
        return self.told(input_ids[..., None] + torch.arange(IN) / IN)

    def told(self, x):
        return self.first(x), self.down(self.second(x)), self.third(x)


def test_layers_that_are_asked_the_same_share_a_product(multiplied):
    torch.manual_seed(0)
    model, x = Siblings(), torch.randn(2, 3, IN)
    with torch.no_grad():
        wanted = model.told(x)
        found = packing.packed(model).told(x)
    assert len(multiplied) == 2
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.is_contiguous()
        torch.testing.assert_close(mine, theirs, rtol=0, atol=2e-6)
    assert not [m.forward.product.known[1] for m in model.children() if m.forward.product.known[1]]  # nothing is held


def test_a_product_is_of_the_columns_that_were_asked_about(multiplied):
    """Others that are equal have a product of their own, and so has whoever asks again."""
    model, x, y = packing.packed(Siblings()), torch.randn(1, 2, IN), torch.randn(1, 2, IN)
    with torch.no_grad():
        for layer, columns, times in [(model.first, x, 1), (model.third, y, 2), (model.second, y, 3), (model.first, y, 3)]:
            wanted = linear(columns, layer.weight, layer.bias)
            torch.testing.assert_close(layer(columns), wanted, rtol=0, atol=2e-6)
            assert len(multiplied) == times


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
    model = nn.Sequential(layer)
    model.register_forward_pre_hook(lambda *_: pytest.fail("a model without a layer to pack is not called"))
    (same,) = packing.packed(model)
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
