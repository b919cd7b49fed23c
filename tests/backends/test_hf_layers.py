"""Parts of a model, and vectors in place of tokens."""

import copy

import pytest
import torch
from tiny_models import KINDS, chain, tiny_model, tree
from torch import Tensor
from transformers import PreTrainedModel

from penstock.backends.runtime.cache import SlotCache
from penstock.backends.runtime.hf import HuggingFaceModel
from penstock.ir.host import Feed

SLOTS = 24
TEXTS = [list(range(1, 6)), list(range(11, 20))]
CACHED = [len(text) for text in TEXTS]
NODES, PARENTS = [[50, 51, 52, 53], [60, 61, 62, 63]], [-1, 0, 0, 2]


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest) -> tuple[HuggingFaceModel, PreTrainedModel]:
    """The adapter, and the same model untouched."""
    model = tiny_model(request.param)
    return HuggingFaceModel(copy.deepcopy(model), request.param), model


def prefilled(model: HuggingFaceModel) -> SlotCache:
    cache = model.new_cache(len(TEXTS), SLOTS)
    model.forward(cache, chain(TEXTS, [0] * len(TEXTS), SLOTS))
    return cache


def nodes(**fields: object) -> Feed:
    feed = tree(NODES, PARENTS, CACHED, SLOTS)
    for name, value in fields.items():
        setattr(feed, name, value)
    return feed


def test_hidden_states_are_those_before_the_final_norm(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, twin = pair
    caught: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda *seen: caught.append(seen[2])) for layer in twin.model.layers]
    with torch.no_grad():
        twin(torch.tensor([TEXTS[1] + [60, 62, 63]]))
    for hook in hooks:
        hook.remove()
    states = model.forward(prefilled(model), nodes(want_hidden=True)).hidden
    assert len(states) == len(caught) == model.layers
    for state, right in zip(states, caught, strict=True):
        torch.testing.assert_close(state[1, [0, 2, 3]], right[0, -3:], atol=1e-4, rtol=0)


def test_asking_for_hidden_states_changes_no_logits(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, _ = pair
    plain = model.forward(prefilled(model), nodes())
    assert plain.hidden == ()
    assert torch.equal(plain.logits, model.forward(prefilled(model), nodes(want_hidden=True)).logits)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_front_and_back_make_the_whole(pair: tuple[HuggingFaceModel, PreTrainedModel], cut: int) -> None:
    model, _ = pair
    whole_cache, cache = prefilled(model), prefilled(model)
    whole = model.forward(whole_cache, nodes(want_hidden=True))
    front = model.forward(cache, nodes(layers=(0, cut), want_hidden=True))
    back = model.forward(cache, nodes(layers=(cut, model.layers), hidden=front.hidden[-1], want_hidden=True))
    assert torch.equal(back.logits, whole.logits)
    for state, right in zip((*front.hidden, *back.hidden), whole.hidden, strict=True):
        assert torch.equal(state, right)
    for leaf, right in zip(cache.leaves(), whole_cache.leaves(), strict=True):
        assert torch.equal(leaf, right)


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_the_head_of_a_state_is_the_exit_after_its_layer(pair: tuple[HuggingFaceModel, PreTrainedModel], cut: int) -> None:
    model, _ = pair
    states = model.forward(prefilled(model), nodes(want_hidden=True)).hidden
    exited = model.forward(prefilled(model), nodes(layers=(0, cut)))
    torch.testing.assert_close(model.head(states[cut - 1]), exited.logits, atol=1e-4, rtol=0)
    both = model.head(torch.stack([states[0], states[cut - 1]], 1))
    torch.testing.assert_close(both[:, 1], exited.logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("cut", [1, 3])
def test_an_early_exit_is_a_shorter_model(pair: tuple[HuggingFaceModel, PreTrainedModel], cut: int) -> None:
    model, twin = pair
    short = copy.deepcopy(twin)
    short.model.layers = short.model.layers[:cut]
    short.config.num_hidden_layers = cut
    early = model.forward(prefilled(model), nodes(layers=(0, cut)))
    with torch.no_grad():
        right = short(torch.tensor([TEXTS[0] + [50, 52, 53]])).logits[0, -3:]
    torch.testing.assert_close(early.logits[0, [0, 2, 3]], right, atol=1e-4, rtol=0)


def test_parts_are_built_once_and_share_parameters(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, _ = pair
    cache = prefilled(model)
    for _ in range(2):
        model.forward(cache, nodes(layers=(0, 2)))
    part = model._parts[0, 2]
    assert {id(p) for p in part.parameters()} < {id(p) for p in model.model.parameters()}
    assert len(model.model.model.layers) == model.model.config.num_hidden_layers == 4


@pytest.mark.parametrize(("layers", "hidden"), [((2, 2), None), ((0, 5), None), ((1, 4), None), (None, torch.zeros(2, 4, 64))])
def test_impossible_ranges_are_refused(layers: tuple[int, int] | None, hidden: Tensor | None) -> None:
    model = HuggingFaceModel(tiny_model("llama"), "llama")
    with pytest.raises(ValueError, match="cannot run layers"):
        model.forward(prefilled(model), nodes(layers=layers, hidden=hidden))


def test_vectors_that_equal_embeddings_equal_ids(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, _ = pair
    right = model.forward(prefilled(model), nodes()).logits
    chosen = torch.tensor([[True, False, True, False], [False, False, True, True]])
    vectors = torch.where(chosen[..., None], model.embed(torch.tensor(NODES)), torch.nan)
    ids = torch.tensor(NODES).masked_fill(chosen, -1)  # any id, even none
    mixed = model.forward(prefilled(model), nodes(ids=ids, embeds=vectors, use_embed=chosen)).logits
    alone = model.forward(prefilled(model), nodes(embeds=model.embed(torch.tensor(NODES)))).logits
    assert torch.equal(mixed, right)
    assert torch.equal(alone, right)


def test_a_soft_token_is_read_by_its_descendants_only(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, twin = pair
    chosen = torch.zeros(2, 4, dtype=torch.bool)
    chosen[:, 2] = True
    soft = (model.embed(torch.tensor(NODES)) + model.embed(torch.tensor(NODES) + 1)) / 2
    logits = model.forward(prefilled(model), nodes(embeds=soft, use_embed=chosen)).logits
    hard = model.forward(prefilled(model), nodes()).logits
    assert torch.equal(logits[:, :2], hard[:, :2])
    assert (logits[:, 2:] - hard[:, 2:]).abs().max() > 0.01
    with torch.no_grad():
        text = twin.get_input_embeddings()(torch.tensor([TEXTS[0] + [50, 52, 53]]))
        text[0, -2] = soft[0, 2]
        right = twin(inputs_embeds=text).logits[0, -1]
    torch.testing.assert_close(logits[0, 3], right, atol=1e-4, rtol=0)
