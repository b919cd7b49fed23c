"""Models with recurrent layers: whatever rows are fed together, each reads its own text once and in order."""

import copy

import pytest
import torch
from architectures import ARCHITECTURES
from tiny_models import chain
from tiny_shapes import VOCAB

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.hf import HuggingFaceModel, RecurrentModel, wrapped
from penstock.backends.runtime.hf.state_cache import StateCache
from penstock.backends.runtime.prefill import CHUNK
from penstock.backends.runtime.runner import Decoder, Request, read
from penstock.ir.errors import PenstockError
from penstock.ir.standin import StandIn
from penstock.library import ModelVerifier, Temperature
from penstock.passes.build import build
from penstock.passes.order import elaborate

KINDS = {a.kind: a for a in ARCHITECTURES if a.driven == "state" and not a.extra}
TEXTS = [list(range(1, 8)), list(range(11, 16)), list(range(30, 37)), []]
NEXT = [[41, 42, 43], [51], [61, 62, 63], [71, 72]]
"""Two rows with as many tokens, an idle one at first, one that begins late."""
SLOTS, NEAR, FAR, ROUNDED = 14, 1e-3, 1e-2, 0.2


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    """The adapter, and the same model untouched."""
    twin = KINDS[request.param].model()
    return wrapped(copy.deepcopy(twin), request.param), twin


@torch.no_grad()
def from_scratch(twin, text):
    return twin(torch.tensor([text]), use_cache=False).logits[0]


def error(pair):
    """How far ragged rows, fed in two calls, are from their texts read from scratch."""
    model, twin = pair
    cache, worst, done = model.new_cache(len(TEXTS), SLOTS), 0.0, [0] * len(TEXTS)
    for parts in (TEXTS, NEXT):
        logits = model.forward(cache, chain(parts, done, SLOTS)).logits
        for b, part in enumerate(parts):
            text = (TEXTS[b] + NEXT[b])[: done[b] + len(part)]
            if part:
                worst = max(worst, float((logits[b, -len(part) :] - from_scratch(twin, text)[-len(part) :]).abs().max()))
        done = [n + len(part) for n, part in zip(done, parts, strict=True)]
    return worst


def test_ragged_rows_read_as_each_alone(pair):
    assert error(pair) < NEAR


@pytest.mark.parametrize("kind", ["mamba", "mamba2", "lfm2"])
def test_half_the_digits_read_alike(kind):
    """Some of these answer in float32 all the same."""
    twin = KINDS[kind].model().to(torch.bfloat16)
    assert error((wrapped(copy.deepcopy(twin), kind), twin)) < ROUNDED


def test_which_models_go_on_in_chunks_is_found_out(pair):
    assert ("chunk" in pair[0].capabilities) == (pair[0].name not in ("mamba", "jamba"))


@pytest.mark.parametrize("pair", ["mamba", "jamba"], indirect=True)
def test_going_on_in_chunks_where_it_does_not_is_seen(pair, monkeypatch):
    monkeypatch.setattr(pair[0], "capabilities", pair[0].capabilities | {"chunk"})
    assert error(pair) > FAR


@pytest.mark.parametrize("fault", ["states of other rows", "states lost"])
def test_a_fault_in_the_states_is_seen(pair, fault, monkeypatch):
    take, put = StateCache.take, StateCache.put
    if fault == "states of other rows":
        monkeypatch.setattr(StateCache, "put", lambda cache, rows, part: put(cache, rows.flip(0), part))
    else:
        monkeypatch.setattr(StateCache, "take", lambda cache, rows: take(cache, rows * 0))
    assert error(pair) > FAR


def test_states_that_are_not_gone_on_from_are_found_out_when_the_model_is_wrapped(monkeypatch):
    monkeypatch.setattr(StateCache, "load", lambda cache, layers: None)
    with pytest.raises(PenstockError, match="goes on otherwise than it reads a text"):
        wrapped(KINDS["mamba2"].model(), "org/m")


def test_rows_taken_and_joined_go_on_as_themselves(pair):
    model, twin = pair
    cache = model.new_cache(len(TEXTS), SLOTS)
    model.forward(cache, chain(TEXTS, [0] * len(TEXTS), SLOTS))
    both = cache.take(torch.tensor([2, 1])).cat(model.new_cache(1, SLOTS + 2))
    logits = model.forward(both, chain([[5], [6], [7]], [7, 5, 0], SLOTS + 2)).logits[:, -1]
    again = model.forward(cache, chain([[8], [], [9], []], [7, 0, 7, 0], SLOTS)).logits[:, -1]
    texts = [*TEXTS[2], 5], [*TEXTS[1], 6], [7], [*TEXTS[0], 8], [*TEXTS[2], 9]
    for ours, text in zip((*logits, again[0], again[2]), texts, strict=True):
        torch.testing.assert_close(ours, from_scratch(twin, text)[-1], atol=NEAR, rtol=0)


def test_a_row_whose_text_is_cleared_begins_anew(pair):
    model, twin = pair
    cache = model.new_cache(2, SLOTS)
    model.forward(cache, chain(TEXTS[:2], [0, 0], SLOTS))
    cache.clear_from(torch.tensor([0, 5]))
    assert all(not leaf[0].any() for leaf in cache.leaves())
    logits = model.forward(cache, chain([[5, 6], [7]], [0, 5], SLOTS)).logits[:, -1]
    for ours, text in zip(logits, ([5, 6], [*TEXTS[1], 7]), strict=True):
        torch.testing.assert_close(ours, from_scratch(twin, text)[-1], atol=NEAR, rtol=0)


def test_nothing_that_was_read_is_taken_back(pair):
    cache = pair[0].new_cache(2, SLOTS)
    cache.move(torch.tensor([[3], [SLOTS]]), torch.tensor([[3], [SLOTS]]))
    with pytest.raises(ValueError, match="cannot be taken back"):
        cache.move(torch.tensor([[4], [SLOTS]]), torch.tensor([[3], [SLOTS]]))


def test_a_model_by_slots_refuses_it():
    with pytest.raises(PenstockError, match="has recurrent layers"):
        HuggingFaceModel(KINDS["mamba"].model(), "org/m")


@pytest.mark.parametrize("pair", ["mamba", "qwen3_next"], indirect=True)
def test_long_prompts_forks_and_evictions(pair):
    """A prompt longer than a chunk; then two branches, one of them from a state that was recomputed."""
    model, twin = pair
    assert isinstance(model, RecurrentModel)
    prompts = [[(7 * i + 3) % VOCAB for i in range(CHUNK + 9)], [5, 6, 7]]
    stages = (ModelVerifier(model="t"), Temperature(value=0))
    step = build(elaborate(stages), {"t": StandIn.of(model)})
    decoder = Decoder(step, {"t": model}, lower(step))
    state = decoder.generate(decoder.start([Request({"t": prompt}, 4) for prompt in prompts]))
    forked = decoder.fork(decoder.take(state, [0, 1]), 2)
    ours = [read(decoder.generate(decoder.resume(s, 8))) for s in (forked, decoder.evict(state))]
    for b, prompt in enumerate(prompts):
        ids = torch.tensor([prompt])
        out = twin.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0)
        right = out[0, len(prompt) :].tolist()
        assert [ours[0][2 * b].tokens, ours[0][2 * b + 1].tokens, ours[1][b].tokens] == [right] * 3
