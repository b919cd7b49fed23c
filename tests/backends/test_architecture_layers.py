"""What every architecture promises beyond tokens: trees by position, layers apart, vectors; or it does not promise it."""

import copy

import pytest
import torch
from architectures import ARCHITECTURES
from tiny_models import chain, path, tree

from penstock.backends.runtime.hf import attention, wrapped

TEXTS, SLOTS = [list(range(1, 6)), list(range(11, 20))], 20
CACHED = [len(text) for text in TEXTS]
NODES, PARENTS = [[50, 51, 52, 53], [60, 61, 62, 63]], [-1, 0, 0, 2]
NEAR, FAR, ROUNDED = 1e-4, 1e-2, 0.2
ATTENDING = [
    pytest.param(a, id=a.title, marks=pytest.mark.full if a.extra else [])
    for a in ARCHITECTURES
    if a.driven in ("attention", "mask")
]


@pytest.fixture(scope="module")
def pair(request):
    """The adapter, and the same model untouched."""
    twin = request.param.model()
    return wrapped(copy.deepcopy(twin), request.param.title), twin


def prefilled(model):
    cache = model.new_cache(len(TEXTS), SLOTS)
    model.forward(cache, chain(TEXTS, [0] * len(TEXTS), SLOTS))
    return cache


def error(pair):
    """How far a tree's logits are from those of its paths, each scored from scratch."""
    model, twin = pair
    logits = model.forward(prefilled(model), tree(NODES, PARENTS, CACHED, SLOTS)).logits
    lines = [(b, i, TEXTS[b] + [NODES[b][j] for j in path(PARENTS, i)]) for b in range(2) for i in range(len(PARENTS))]
    with torch.no_grad():
        return max(float((logits[b, i] - twin(torch.tensor([line])).logits[0, -1]).abs().max()) for b, i, line in lines)


@pytest.mark.parametrize("pair", ATTENDING, indirect=True)
def test_a_tree_scores_as_each_of_its_paths(pair):
    assert error(pair) < NEAR


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("title", ["Llama", "Gemma 2", "Bloom", "MPT"])
def test_masks_have_the_dtype_of_the_model(title, dtype):
    """Up to rounding, which no router decides on here."""
    twin = next(a for a in ARCHITECTURES if a.title == title).model().to(dtype)
    assert error((wrapped(copy.deepcopy(twin), title), twin)) < ROUNDED


@pytest.mark.parametrize("pair", [p for p in ATTENDING if p.id in ("Bloom", "MPT")], indirect=True)
def test_a_bias_by_slot_is_seen(pair, monkeypatch):
    monkeypatch.setattr(attention, "corrections", lambda call, dtype: torch.zeros((), dtype=dtype))
    assert error(pair) > FAR


@pytest.mark.parametrize("pair", [p for p in ATTENDING if p.id in ("Bloom", "MPT", "Gemma 3n")], indirect=True)
def test_a_wrapped_model_still_generates_alone(pair):
    model, twin = pair
    ids = torch.tensor([TEXTS[1]])
    ours, right = (m.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0) for m in (model.model, twin))
    assert torch.equal(ours, right)


@pytest.mark.parametrize("pair", ATTENDING, indirect=True)
def test_front_and_back_make_the_whole_or_are_not_promised(pair):
    model, _ = pair
    if "layers" not in model.capabilities:
        pytest.skip("its layers read more than the state before")
    feed = tree(NODES, PARENTS, CACHED, SLOTS)
    whole = model.forward(prefilled(model), feed).logits
    cache = prefilled(model)
    feed.layers, feed.want_hidden = (0, 1), True
    front = model.forward(cache, feed)
    assert (front.logits - whole).abs().max() > FAR
    torch.testing.assert_close(model.head(front.hidden[-1]), front.logits, atol=NEAR, rtol=0)
    feed.layers, feed.hidden = (1, model.layers), front.hidden[-1]
    torch.testing.assert_close(model.forward(cache, feed).logits, whole, atol=NEAR, rtol=0)


@pytest.mark.parametrize("pair", ATTENDING, indirect=True)
def test_vectors_stand_for_their_tokens_or_are_not_promised(pair):
    model, _ = pair
    if "embeds" not in model.capabilities:
        pytest.skip("its layers look up the tokens themselves")
    feed = tree(NODES, PARENTS, CACHED, SLOTS)
    plain = model.forward(prefilled(model), feed).logits
    feed.embeds, feed.use_embed = model.embed(feed.ids), torch.ones_like(feed.ids, dtype=torch.bool)
    feed.ids = torch.zeros_like(feed.ids)
    torch.testing.assert_close(model.forward(prefilled(model), feed).logits, plain, atol=NEAR, rtol=0)
