"""Lean forms say what modules say, bit by bit; a module that means something else keeps its own."""

import pytest
import torch
from tiny_models import tiny_model
from torch import nn
from transformers import LlamaConfig
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm, LlamaRotaryEmbedding

from penstock.backends.runtime import hf
from penstock.backends.runtime.hf.lean import FORMS, TABLED, lean
from penstock.library import zoo

WIDTH = 24


def put(module):
    """Whether a module is put by a lean form."""
    return any(form.repeats(module) for form in FORMS)


def rotary(kind="default", **more):
    rope = {"rope_type": kind, "rope_theta": 10000.0, **more}
    return LlamaRotaryEmbedding(LlamaConfig(hidden_size=2 * WIDTH, num_attention_heads=2, rope_parameters=rope))


def normed():
    module = LlamaRMSNorm(WIDTH)
    nn.init.uniform_(module.weight, generator=torch.Generator().manual_seed(1))
    return module


@pytest.mark.parametrize("shape", [(1, 1), (2, 5)])
def test_a_norm_is_the_modules(shape):
    module, x = normed(), torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(2)) * 9
    (form, _) = FORMS
    with torch.no_grad():
        assert form.repeats(module) and torch.equal(form.of(module)(x), module(x))
        module.weight.mul_(2)  # which is read when it is asked
        assert torch.equal(form.of(module)(x), module(x))


@pytest.mark.parametrize("positions", [[[0]], [[3, 4], [TABLED - 1, 0]], [[TABLED + 7, 2]]])
@pytest.mark.parametrize("module", [rotary(), rotary("linear", factor=4.0)], ids=["default", "linear"])
def test_positions_are_embedded_as_the_module_embeds_them(module, positions):
    (_, form) = FORMS
    assert form.repeats(module)
    given = torch.zeros(1, 1, 3), torch.tensor(positions)
    for found, wanted in zip(form.of(module)(*given), module(*given), strict=True):
        assert torch.equal(found, wanted)


class Doubled(LlamaRMSNorm):
    def forward(self, x):
        return 2 * super().forward(x)


class Gated(LlamaRMSNorm):
    def forward(self, x, gate=None):
        return super().forward(x if gate is None else x * gate)


class Complex(LlamaRotaryEmbedding):
    """As DeepSeek-V2 has it."""

    def forward(self, x, position_ids):
        return torch.complex(*super().forward(x, position_ids))


@pytest.mark.parametrize(
    "module",
    [
        Complex(LlamaConfig(hidden_size=2 * WIDTH, num_attention_heads=2)),
        Doubled(WIDTH),
        Gated(WIDTH),
        Gemma2RMSNorm(WIDTH),
        nn.LayerNorm(WIDTH),
        rotary("dynamic", factor=2.0),
    ],
    ids=lambda module: type(module).__name__,
)
def test_what_means_something_else_keeps_its_own(module):
    with torch.no_grad():
        assert not put(module)


def test_with_gradients_a_norm_is_its_own():
    module, x = normed(), torch.randn(2, 3, WIDTH, requires_grad=True)
    FORMS[0].of(module)(x).sum().backward()
    assert x.grad is not None and module.weight.grad is not None


def test_a_model_that_is_loaded_is_lean_and_says_the_same():
    loaded, alone = hf.load(str(zoo.path("drafter-tiny"))).model, hf.pretrained(str(zoo.path("drafter-tiny")))
    made = [module for module in loaded.modules() if isinstance(module, LlamaRMSNorm | LlamaRotaryEmbedding)]
    assert made and all("forward" in module.__dict__ for module in made)
    ids = torch.arange(40)[None]
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, alone(ids).logits, rtol=0, atol=1e-4)


def test_lean_is_not_for_less_than_float32():
    model = lean(tiny_model("llama").to(torch.bfloat16))
    assert not any("forward" in module.__dict__ for module in model.modules())
