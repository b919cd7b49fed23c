"""Trees, voids and moves: what the adapter scores by slot equals what an untouched model scores from scratch."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny_models import KINDS, VOCAB, chain, keep, path, tiny_model, tree
from torch import Tensor
from transformers import PreTrainedModel

from penstock.backends.runtime.cache import SlotCache
from penstock.backends.runtime.hf import HuggingFaceModel, attention
from penstock.ir.host import Feed

SLOTS = 40
TEXTS = [list(range(1, 6)), list(range(11, 20)), list(range(30, 42))]  # all but one longer than the windows
PARENTS = [-1, 0, 0, 1, 1, 2, 3]
NODES = [[50, 51, 52, 53, 54, 55, 56], [60, 61, 62, 61, 64, 61, 66], [70, 71, 72, 73, 74, 75, 76]]
CACHED = [len(text) for text in TEXTS]
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest) -> tuple[HuggingFaceModel, PreTrainedModel]:
    """The adapter, and the same model untouched."""
    model = tiny_model(request.param)
    return HuggingFaceModel(copy.deepcopy(model), request.param), model


def from_scratch(model: PreTrainedModel, text: list[int]) -> Tensor:
    with torch.no_grad():
        return model(torch.tensor([text])).logits[0]


def prefilled(model: HuggingFaceModel) -> SlotCache:
    cache = model.new_cache(len(TEXTS), SLOTS)
    model.forward(cache, chain(TEXTS, [0] * len(TEXTS), SLOTS))
    return cache


def error(pair: tuple[HuggingFaceModel, PreTrainedModel], cache: SlotCache, feed: Feed) -> float:
    """Largest difference between the tree's logits and each of its paths scored from scratch."""
    model, twin = pair
    logits = model.forward(cache, feed).logits
    worst = 0.0
    for b, text in enumerate(TEXTS):
        for node in range(len(PARENTS)):
            line = [NODES[b][i] for i in path(PARENTS, node)]
            worst = max(worst, (logits[b, node] - from_scratch(twin, text + line)[-1]).abs().max().item())
    return worst


def test_ragged_prefill_equals_scoring_from_scratch(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, twin = pair
    cache = model.new_cache(len(TEXTS), SLOTS)
    logits = model.forward(cache, chain(TEXTS, [0] * len(TEXTS), SLOTS)).logits
    for b, text in enumerate(TEXTS):
        torch.testing.assert_close(logits[b, -len(text) :], from_scratch(twin, text), atol=TOLERANCE, rtol=0)


def test_a_tree_equals_each_of_its_paths_from_scratch(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    cache = prefilled(pair[0])
    assert error(pair, cache, tree(NODES, PARENTS, CACHED, SLOTS)) < TOLERANCE


def test_a_tree_fed_by_levels_equals_each_of_its_paths(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, twin = pair
    cache, feed = prefilled(model), tree(NODES, PARENTS, CACHED, SLOTS)
    for level in ([0], [1, 2], [3, 4, 5], [6]):
        part = Feed(feed.ids[:, level], feed.slots[:, level], feed.positions[:, level], feed.visible[:, level])
        logits = model.forward(cache, part).logits
    line = [NODES[1][i] for i in path(PARENTS, 6)]
    torch.testing.assert_close(logits[1, 0], from_scratch(twin, TEXTS[1] + line)[-1], atol=TOLERANCE, rtol=0)


def test_an_extent_shorter_than_the_buffer_changes_nothing(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    cache, feed = prefilled(pair[0]), tree(NODES, PARENTS, CACHED, SLOTS)
    feed.visible = feed.visible[:, :, : max(CACHED) + len(PARENTS)]
    assert error(pair, cache, feed) < TOLERANCE


@pytest.mark.parametrize("extent", [SLOTS + 1, max(CACHED) + 2])
def test_void_columns_change_nothing(pair: tuple[HuggingFaceModel, PreTrainedModel], extent: int) -> None:
    """Bit for bit, whatever they hold, and also where the extent leaves out the trash slot so that they see nothing."""
    model, _ = pair
    nexts, outcomes = [[7, 8], [9], []], []
    for filler, place in ((0, 0), (VOCAB - 1, 33)):
        cache, feed = prefilled(model), chain(nexts, CACHED, SLOTS, void=2)
        void = feed.slots == SLOTS
        feed.ids[void], feed.positions[void] = filler, place
        feed.visible = feed.visible[:, :, :extent]
        logits = model.forward(cache, feed).logits
        assert logits.isfinite().all()
        outcomes.append((logits[~void], cache.buffer[..., :SLOTS, :], cache.positions[:, :SLOTS]))
    for left, right in zip(*outcomes, strict=True):
        assert torch.equal(left, right)


def test_void_columns_equal_their_absence(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, _ = pair
    bare, padded = prefilled(model), prefilled(model)
    without = model.forward(bare, chain([[7, 8]] * 3, CACHED, SLOTS)).logits
    within = model.forward(padded, chain([[7, 8]] * 3, CACHED, SLOTS, void=3)).logits[:, 3:]
    torch.testing.assert_close(without, within, atol=TOLERANCE, rtol=0)


def test_keeping_a_path_then_continuing_equals_scratch(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, twin = pair
    cache = prefilled(model)
    model.forward(cache, tree(NODES, PARENTS, CACHED, SLOTS))
    kept = [[0, 2, 5], [0, 1], [0, 1, 3, 6]]  # no prefix, a prefix, no prefix
    cache.move(*keep(CACHED, kept, SLOTS))
    texts = [text + [NODES[b][i] for i in kept[b]] for b, text in enumerate(TEXTS)]
    lengths = [len(text) for text in texts]
    assert all(cache.positions[b, :n].tolist() == list(range(n)) for b, n in enumerate(lengths))
    logits = model.forward(cache, tree(NODES, PARENTS, lengths, SLOTS)).logits
    for b, text in enumerate(texts):
        line = [NODES[b][i] for i in path(PARENTS, 5)]
        torch.testing.assert_close(logits[b, 5], from_scratch(twin, text + line)[-1], atol=TOLERANCE, rtol=0)


def test_rows_taken_in_another_order_go_on_as_themselves(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, twin = pair
    cache = prefilled(model).take(torch.tensor([2, 2, 0]))
    logits = model.forward(cache, chain([[3], [4], [5]], [CACHED[2], CACHED[2], CACHED[0]], SLOTS)).logits
    for b, (text, token) in enumerate([(TEXTS[2], 3), (TEXTS[2], 4), (TEXTS[0], 5)]):
        torch.testing.assert_close(logits[b, 0], from_scratch(twin, [*text, token])[-1], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("fault", ["slot positions", "cousins seen", "text forgotten"])
def test_a_fault_in_the_feed_is_seen(pair: tuple[HuggingFaceModel, PreTrainedModel], fault: str) -> None:
    """Negative controls: the tolerance lies far below what a wrong position or mask does."""
    cache, feed = prefilled(pair[0]), tree(NODES, PARENTS, CACHED, SLOTS)
    if fault == "slot positions":
        feed.positions = feed.slots.clone()
    if fault == "cousins seen":
        feed.visible[:, 2:, CACHED[0] + 1] = True
    if fault == "text forgotten":
        feed.visible[:, :, 3:5] = False
    assert error(pair, cache, feed) > 100 * TOLERANCE


def test_forgetting_to_move_is_seen(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, twin = pair
    cache = prefilled(model)
    model.forward(cache, tree(NODES, PARENTS, CACHED, SLOTS))
    logits = model.forward(cache, chain([[9]] * 3, [n + 2 for n in CACHED], SLOTS)).logits  # as if 0 and 2 were kept
    right = from_scratch(twin, [*TEXTS[0], NODES[0][0], NODES[0][2], 9])[-1]
    assert (logits[0, 0] - right).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize("kind", ["mistral", "gemma2"])
def test_a_window_judged_by_slot_is_seen(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(kind)
    pair = HuggingFaceModel(copy.deepcopy(model), kind), model
    monkeypatch.setattr(SlotCache, "place", lambda cache, slots, _: cache.positions.scatter_(1, slots, slots))
    assert error(pair, prefilled(pair[0]), tree(NODES, PARENTS, CACHED, SLOTS)) > 100 * TOLERANCE


@pytest.mark.parametrize(("kind", "masks"), [("llama", 1), ("mistral", 1), ("gemma2", 2)])
def test_one_mask_a_layer_kind_a_call(kind: str, masks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[attention.Call] = []

    def noted(*fields: object) -> attention.Call:
        calls.append(attention.Call(*fields))
        return calls[-1]

    model = HuggingFaceModel(tiny_model(kind), kind)
    monkeypatch.setattr("penstock.backends.runtime.hf.causal.Call", noted)
    prefilled(model)
    assert [len(call.rules) for call in calls] == [masks]


def test_threads_do_not_see_each_other_s_calls(pair: tuple[HuggingFaceModel, PreTrainedModel]) -> None:
    model, _ = pair

    def decode(text: list[int]) -> Tensor:
        cache = model.new_cache(1, SLOTS)
        steps = [chain([text], [0], SLOTS), *(chain([[t]], [len(text) + t], SLOTS) for t in range(20))]
        return torch.cat([model.forward(cache, step).logits[:, -1] for step in steps])

    alone = [decode(text) for text in TEXTS]
    with ThreadPoolExecutor(len(TEXTS)) as pool:
        for ours, right in zip(pool.map(decode, TEXTS), alone, strict=True):
            assert torch.equal(ours, right)
    assert attention.CURRENT.get() is None


def test_a_block_that_looks_both_ways() -> None:
    """Without windows, what is visible decides alone: a block over a causal text, against a ready-made mask."""
    twin = tiny_model("llama")
    model = HuggingFaceModel(copy.deepcopy(twin), "llama")
    assert "bidirectional" in model.capabilities
    assert "bidirectional" not in HuggingFaceModel(tiny_model("mistral"), "m").capabilities
    text, block = TEXTS[2], NODES[2]
    cache = prefilled(model)
    feed = chain([[], [], block], CACHED, SLOTS)
    feed.visible[2, :, len(text) : len(text) + len(block)] = True
    logits = model.forward(cache, feed).logits[2]
    size = len(text) + len(block)
    mask = torch.full((size, size), torch.finfo(torch.float32).min).triu(1)
    mask[len(text) :] = 0
    with torch.no_grad():
        right = twin(torch.tensor([text + block]), attention_mask=mask[None, None]).logits[0, len(text) :]
    torch.testing.assert_close(logits, right, atol=TOLERANCE, rtol=0)
