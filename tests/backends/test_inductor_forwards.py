"""A model whose forwards run as they were traced answers, stores and decodes as its module; C++ is left out but in full runs."""

from functools import cache
from typing import Any

import pytest
import tiny_models
import torch
from tiny_shapes import CAPPED, CONTEXT, GPT, GROUPED, LOCAL, MIXED, SLIDING, VOCAB, WIDE, model_of
from torch import Tensor

import penstock
from penstock.backends.inductor import forwards
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.forwards import COLUMNS, MET, CompiledModel, check, shape_of, with_forwards
from penstock.backends.runtime import hf
from penstock.backends.runtime.table import TableModel
from penstock.dsl.pipeline import Pipeline
from penstock.ir.host import Feed
from penstock.library import ModelVerifier, PromptLookup, Temperature

SLOTS = 40
CACHED = [9, 17, 12]
PARENTS = (-1, 0, 0, 2)
SHAPES = {"llama": GROUPED, "gemma2": WIDE | SLIDING | CAPPED, "gpt2": GPT, "mistral": GROUPED | SLIDING}
SHAPES["gpt_oss"] = WIDE | MIXED | LOCAL
"""Grouped heads; windows in every other layer, attention and logits capped; learnt positions; windows in all; sinks, experts."""


@cache
def model(kind: str) -> Any:
    """One that no test changes."""
    return hf.wrapped(model_of(kind, SHAPES[kind]), kind)


@pytest.fixture
def traced(monkeypatch):
    """What is compiled runs as it was traced; the graphs and their inputs."""
    built: list[tuple[Any, list[Tensor]]] = []

    def built_of(graph: Any, inputs: list[Tensor]) -> Any:
        built.append((graph, inputs))
        return graph

    monkeypatch.setattr(forwards, "built_of", built_of)
    monkeypatch.setattr(forwards, "compiler", lambda: "c++")
    return built


def tokens(rows: int, columns: int, first: int) -> list[list[int]]:
    return [[(first + 7 * b + 3 * i) % VOCAB for i in range(columns)] for b in range(rows)]


def drafts(rows: int, first: int = 5) -> Feed:
    """A tree behind texts of unequal length."""
    return tiny_models.tree(tokens(rows, len(PARENTS), first), PARENTS, CACHED[:rows], SLOTS)


def prompted(own: Any, rows: int) -> Any:
    """A cache that holds each row's text."""
    store, texts = own.new_cache(rows, SLOTS), [[(b + 5 * i) % VOCAB for i in range(CACHED[b])] for b in range(rows)]
    own.forward(store, tiny_models.chain(texts, [0] * rows, SLOTS))
    return store


def met(own: Any, feed: Any, artefacts: Artefacts | None = None) -> CompiledModel:
    """The model after a shape was met so often that it is compiled."""
    compiled = CompiledModel(own, artefacts or Artefacts())
    store = prompted(own, len(feed().ids))
    for _ in range(MET):
        compiled.forward(store, feed())
    return compiled


def assert_same(compiled: CompiledModel, feed: Feed, atol: float) -> None:
    """Answers and caches equal the module's; the trash slot, where columns that nobody reads are written, aside."""
    rows, caches = len(feed.ids), [prompted(compiled.own, len(feed.ids)) for _ in range(2)]
    wanted = compiled.own.forward(caches[0], feed).logits
    found = compiled.forward(caches[1], feed).logits
    assert found.shape == wanted.shape == (rows, feed.ids.shape[1], VOCAB)
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)
    for ours, theirs in zip(caches[1].leaves(), caches[0].leaves(), strict=True):
        slots = ours.dim() - 2 if ours.dim() > 2 else 1
        torch.testing.assert_close(*(x.narrow(slots, 0, SLOTS) for x in (ours, theirs)), rtol=0, atol=atol)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kind", SHAPES)
def test_a_traced_forward_is_the_module(kind, rows, traced):
    """Trees behind texts of unequal length, padded to a shape in rows (3 to 4) and columns (4 to 5)."""
    compiled = met(model(kind), lambda: drafts(rows))
    assert compiled.report.forwards == len(traced) == 1 and not compiled.report.refused
    assert_same(compiled, drafts(rows, first=40), atol=1e-5)


def test_one_graph_serves_texts_and_caches_of_any_length(traced):
    windowed = model("mistral")
    compiled = met(windowed, lambda: drafts(2))
    for slots in (20, CONTEXT):
        caches = [windowed.new_cache(2, slots) for _ in range(2)]
        for first in range(0, 15, 5):
            feed = tiny_models.chain(tokens(2, 5, first), [first, first], slots)
            wanted, found = windowed.forward(caches[0], feed).logits, compiled.forward(caches[1], feed).logits
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert len(traced) == 1


def test_void_columns_leave_the_cache_alone(traced):
    """A row with fewer columns than the widest, beside padding."""
    compiled = met(model("llama"), lambda: drafts(2))
    feed = tiny_models.chain([[3, 4, 5, 6], [9]], CACHED[:2], SLOTS)
    caches = [prompted(compiled.own, 2) for _ in range(2)]
    wanted, found = compiled.own.forward(caches[0], feed).logits, compiled.forward(caches[1], feed).logits
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(found[1, -1], wanted[1, -1], rtol=0, atol=1e-5)
    torch.testing.assert_close(caches[1].buffer[..., :SLOTS, :], caches[0].buffer[..., :SLOTS, :], rtol=0, atol=1e-5)


def test_weights_are_inputs_and_shared(traced):
    """Neither copied nor baked in: what a caller does to a weight later counts."""
    mine = hf.wrapped(model_of("qwen2", GROUPED | {"tie_word_embeddings": True}), "mine")
    compiled = met(mine, lambda: drafts(2))
    ((graph, inputs),) = traced
    assert not [node for node in graph.graph.nodes if node.op == "get_attr"]
    held = {x.data_ptr() for x in inputs[2:]}
    assert {weight.data_ptr() for weight in mine.model.parameters()} <= held and len(held) == len(inputs) - 2
    before = compiled.forward(prompted(mine, 2), drafts(2)).logits
    with torch.no_grad():
        mine.model.get_input_embeddings().weight.mul_(1.5)
    assert_same(compiled, drafts(2), atol=1e-5)
    assert not torch.allclose(before, compiled.forward(prompted(mine, 2), drafts(2)).logits, atol=0.1)


def test_packed_layers_stay_packed(traced, monkeypatch):
    monkeypatch.setattr(hf.packing, "FEW", 0)
    compiled = met(hf.wrapped(hf.packed(model_of("llama", GROUPED)), "packed"), lambda: drafts(2))
    ((graph, inputs),) = traced
    asked = [node for node in graph.graph.nodes if node.target is torch.ops.penstock.linear.default]
    products = 2 * len(("query, key, value", "out", "gate, up", "down")) + 1
    assert len(asked) == products and sum(x.is_mkldnn for x in inputs) == products
    assert_same(compiled, drafts(2, first=40), atol=1e-5)


def test_a_shape_is_compiled_when_it_was_met_often_and_a_prompt_never(traced):
    compiled, store = CompiledModel(model("llama"), Artefacts()), model("llama").new_cache(1, SLOTS)
    for time in range(1, MET + 2):
        compiled.forward(store, tiny_models.chain(tokens(1, 2, time), [0], SLOTS))
        compiled.forward(store, tiny_models.chain(tokens(1, COLUMNS[-1] + 1, time), [0], SLOTS))
        assert len(traced) == (time >= MET)
    assert list(compiled.made) == [(1, 2)] and compiled.report.seconds > 0


def test_shapes_are_few():
    plain = drafts(3)
    assert shape_of(plain) == (4, 5)
    assert shape_of(tiny_models.chain(tokens(3, 17, 0), [0] * 3, SLOTS)) == (4, 17)
    assert shape_of(tiny_models.chain(tokens(9, 17, 0), [0] * 9, SLOTS)) is None
    for name, value in {"layers": (0, 2), "want_hidden": True, "hidden": 1, "embeds": 1}.items():
        feed = drafts(3)
        setattr(feed, name, value)
        assert shape_of(feed) is None, name


def test_more_shapes_than_a_model_may_have_are_left_to_the_module(traced, monkeypatch):
    monkeypatch.setattr(forwards, "MOST", 1)
    compiled = met(model("llama"), lambda: drafts(2))
    for _ in range(MET):
        assert_same(compiled, drafts(1), atol=0)
    assert len(traced) == 1 and "more than 1 shapes" in compiled.report.refused["the forward of llama"]
    assert_same(compiled, drafts(2), atol=1e-5)


def test_one_that_answers_otherwise_is_not_used(monkeypatch):
    """The third answer is the module's, whatever was stored on the way, and so is every one after."""
    monkeypatch.setattr(forwards, "built_of", lambda graph, inputs: lambda *given: graph(*given) + 0.01)
    artefacts = Artefacts()
    compiled = met(model("llama"), lambda: drafts(2), artefacts)
    assert "its logits are off by 0.01" in artefacts.report.refused["the forward of llama"] and not compiled.made
    assert "the forward of llama is not compiled" in str(artefacts.report)
    assert_same(compiled, drafts(2), atol=0)


def test_an_answer_of_the_last_columns_is_enough_to_go_by(traced):
    """Text that is due comes before what is read, and the module leaves its logits out."""

    def feed() -> Feed:
        due = tiny_models.chain(tokens(2, 3, 1), CACHED[:2], SLOTS)
        due.read = 1
        return due

    compiled = met(model("llama"), feed)
    assert list(compiled.made) == [(2, 3)] and not compiled.report.refused
    wanted, found = (each.forward(prompted(compiled.own, 2), feed()).logits for each in (compiled.own, compiled))
    assert wanted.shape[1] == 1
    torch.testing.assert_close(found[:, -1:], wanted, rtol=0, atol=1e-5)


def test_rounding_passes_and_nan_does_not():
    wanted = torch.tensor([4.0, -8.0])
    check(wanted + 5e-4, wanted)
    for wrong in (wanted + 2e-3, wanted * float("nan")):
        with pytest.raises(ValueError, match="off by"):
            check(wrong, wanted)


def test_a_model_that_attends_by_itself_is_left_alone(traced):
    alone = hf.wrapped(model_of("llama", GROUPED), "llama")
    alone.capabilities -= {"stack"}
    compiled = met(alone, lambda: drafts(2))
    assert not traced and "very keys and values" in compiled.report.refused["the forward of llama"]
    assert_same(compiled, drafts(2), atol=0)


def test_half_precision_is_left_to_the_module(traced):
    compiled = met(hf.wrapped(model_of("llama", GROUPED).to(torch.bfloat16), "half"), lambda: drafts(2))
    assert not traced and "computes in torch.bfloat16" in compiled.report.refused["the forward of half"]
    assert_same(compiled, drafts(2), atol=0)


def test_without_a_compiler_models_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(forwards, "compiler", lambda: None)
    assert with_forwards({"t": model("llama")}, Artefacts()) == {"t": model("llama")}


def test_views_of_one_model_share_it_and_others_stay_as_they_are(traced):
    table, llama = TableModel(7, 1, 2), model("llama")
    found = with_forwards({"t": llama, "u": llama, "v": table}, Artefacts())
    assert found["v"] is table and found["t"] is found["u"] and found["t"].own is llama
    assert (found["t"].vocab, found["t"].capabilities) == (llama.vocab, llama.capabilities)


def test_a_pipeline_decodes_the_same_tokens(traced, monkeypatch):
    """Drafts of lengths that differ by step, on a model of the zoo; regions run as they were traced, too."""
    monkeypatch.setattr("penstock.backends.inductor.artefact.built", lambda function, inputs: function)
    monkeypatch.setattr("penstock.backends.inductor.lower.compiler", lambda: "c++")
    stages = (PromptLookup(length=4, longest=2), ModelVerifier(model="t"), Temperature(value=0))
    pipeline = Pipeline(models={"t": "zoo:drafter-tiny"}, stages=stages, generate={"max_new_tokens": 24, "eos": ()})
    runners = [penstock.compile(pipeline, backend=backend) for backend in ("eager", "inductor")]
    eager, ours = ([each.tokens for each in runner.generate(["one two one two", "1, 2, 3, 1, 2, 3, 1"])] for runner in runners)
    assert ours == eager and len(set(ours[0] + ours[1])) > 4
    assert runners[1].compiled.forwards == len(traced) > 0 and "zoo" not in str(runners[1].compiled.refused)


@pytest.mark.full
def test_compiled_it_says_the_same():
    compiled = met(hf.wrapped(hf.packed(model_of("llama", GROUPED)), "llama"), lambda: drafts(3))
    assert compiled.report.forwards == 1 and not compiled.report.refused
    assert_same(compiled, drafts(3, first=40), atol=1e-4)
