"""A call of ours runs a forward without transformers' wrappers; anybody else's runs it as it is."""

import inspect
from functools import wraps
from types import SimpleNamespace

import pytest
import torch
from tiny_models import chain, tiny_model
from torch import nn
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from penstock.backends.runtime import hf
from penstock.backends.runtime.hf.attention import CURRENT, Call
from penstock.backends.runtime.hf.undecorated import Undecorated, stripped


def plain(self, use_cache=None):
    return use_cache


def unknown(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


NOTHING = SimpleNamespace()


@pytest.mark.parametrize(
    ("forward", "config", "caches"),
    [
        (plain, NOTHING, False),
        (can_return_tuple(plain), NOTHING, False),
        (merge_with_config_defaults(capture_outputs(plain)), NOTHING, True),
        (merge_with_config_defaults(can_return_tuple(plain)), SimpleNamespace(is_causal=None), True),
    ],
)
def test_known_wrappers_are_left_out(forward, config, caches):
    assert stripped(forward, config) == (plain, caches)


def test_what_is_not_known_and_what_fills_in_more_than_a_cache_stays_with_all_within_it():
    strange = unknown(can_return_tuple(plain))
    assert stripped(can_return_tuple(strange), NOTHING) == (strange, False)
    filled = merge_with_config_defaults(can_return_tuple(plain))
    for fills in ({"is_causal": False}, {"vision_feature_layer": -2}):
        assert stripped(can_return_tuple(filled), SimpleNamespace(**fills)) == (filled, False)


@pytest.fixture
def wrapped():
    return hf.wrapped(tiny_model("llama"), "tiny")


def test_only_calls_of_ours_are_bare(wrapped, monkeypatch):
    forward = wrapped.model.model.forward
    assert isinstance(forward, Undecorated) and forward.caches
    ran: list[str] = []
    for name in ("own", "bare"):
        run = getattr(forward, name)
        monkeypatch.setattr(forward, name, lambda *args, name=name, run=run, **given: ran.append(name) or run(*args, **given))
    tokens = [[5, 7, 9]]
    mine = wrapped.forward(wrapped.new_cache(1, 4), chain(tokens, [0], 4)).logits
    assert ran == ["bare"]
    with torch.no_grad():
        theirs = wrapped.model(input_ids=torch.tensor(tokens), output_hidden_states=True)
    assert ran == ["bare", "own"] and len(theirs.hidden_states) == 5
    torch.testing.assert_close(mine, theirs.logits, rtol=0, atol=1e-5)


class Telling(nn.Module):
    """Tells what its forward is given."""

    @merge_with_config_defaults
    @can_return_tuple
    def forward(self, **kwargs):
        return kwargs


def test_a_bare_forward_is_given_what_its_wrappers_would_give_it():
    module = Telling()
    module.config = SimpleNamespace(use_cache=True, return_dict=True)
    bare, asked = Undecorated(module), {"return_dict": True, "other": 1}
    token = CURRENT.set(Call(*torch.zeros(3, 1, 1)))
    try:
        assert bare(**asked) == bare.own(**asked) == {"other": 1, "use_cache": True}
        assert bare(use_cache=False) == {"use_cache": False}
    finally:
        CURRENT.reset(token)


def test_a_forward_says_what_it_takes(wrapped):
    """By which transformers' own generate judges what it is given."""
    assert {"input_ids", "logits_to_keep"} <= set(inspect.signature(wrapped.model.forward).parameters)


def test_a_part_of_a_model_runs_its_own_layers(wrapped):
    feed = chain([[5, 7, 9]], [0], 4)
    feed.layers = (0, 2)
    lower = wrapped.forward(wrapped.new_cache(1, 4), feed).logits
    assert not torch.allclose(lower, wrapped.forward(wrapped.new_cache(1, 4), chain([[5, 7, 9]], [0], 4)).logits, atol=1e-2)
    assert wrapped._parts[0, 2].model.forward.bare.__self__ is wrapped._parts[0, 2].model
