"""Costs told before anything is loaded are those that are met when it is."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import penstock
from penstock import predicted, resolve
from penstock.dsl.models import parse
from penstock.dsl.pipeline import Pipeline
from penstock.ir.errors import PenstockError
from penstock.library import ModelDrafter, ModelVerifier

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("reference", ["zoo:target", "zoo:drafter-tiny", "table:5:1:2"])
def test_weights_and_cache_are_those_of_the_loaded_model(reference):
    told = predicted.weight(parse(reference))
    text = resolve.text(parse(reference))
    model = resolve.model(parse(reference), text)
    numbers = [model.tables] if hasattr(model, "tables") else model.model.parameters()
    assert told.parameters == sum(each.numel() for each in numbers)
    slots = [sum(leaf.numel() for leaf in model.new_cache(1, n).leaves() if leaf.is_floating_point()) for n in (7, 8)]
    assert told.cached == slots[1] - slots[0]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_every_example_has_its_costs_told_by_view(path):
    pipeline = penstock.load(path)
    step = penstock.check(pipeline)
    asked = predicted.forwards(pipeline, step)
    assert {f"view:{each.view}" for each in asked} == {name for name in step.handles if name.startswith("view:")}
    assert all(each.times >= 1 and each.tokens >= each.times for each in asked)
    assert [line.partition(":")[0] for line in predicted.costs(pipeline, step)][:3] == ["a step", "work", "weights"]


def test_a_chain_is_told_as_it_runs():
    chain = (ModelDrafter(model="d", length=3), ModelVerifier(model="t"))
    pipeline = Pipeline(models={"t": "table:5:1", "d": "table:5:2"}, stages=chain)
    step = penstock.check(pipeline)
    assert predicted.forwards(pipeline, step) == [
        predicted.Forwards("draft:d", "d", 3, 3),
        predicted.Forwards("t", "t", 1, 4),
    ]
    [result] = penstock.run(pipeline, ["1"], max_new_tokens=9)
    assert result.stats.draft_forwards == 3 * result.stats.steps and result.stats.target_forwards == result.stats.steps
    lines = list(predicted.costs(pipeline, step))
    assert lines[0] == "a step: draft:d 3 forwards of 3 tokens, t 1 forward of 4 tokens a row"
    assert lines[1] == f"work: {2 * 7 * 5 * 36 / 1000:.3g} kFLOP a row and step"


def test_models_too_large_for_the_memory_are_refused_before_they_are_loaded(monkeypatch):
    monkeypatch.setattr(predicted, "free_memory", lambda: 1_000_000)
    pipeline = Pipeline(models={"t": "zoo:target"}, stages=(ModelVerifier(model="t"),))
    with pytest.raises(PenstockError, match=r"need 16.9 MB in float32, t 16.9 MB of it, and 1 MB are free\n.*dtype bfloat16"):
        penstock.compile(pipeline)
    monkeypatch.setattr(predicted, "free_memory", lambda: 10_000_000)
    penstock.compile(pipeline, dtype="bfloat16")


def test_a_file_that_is_cut_is_one_message(tmp_path):
    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5)}, tmp_path / "model.safetensors")
    assert predicted.numbers_in(tmp_path / "model.safetensors") == 17
    for content in (b"", b"abc", b"\xff" * 9, (9).to_bytes(8, "little") + b'{"a": {}}'):
        (tmp_path / "cut.safetensors").write_bytes(content)
        with pytest.raises(PenstockError, match="cut.safetensors: not a whole file of safetensors"):
            predicted.numbers_in(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    "config, numbers",
    [
        (dict(num_hidden_layers=3, hidden_size=64, num_attention_heads=8, vocab_size=9), 3 * 2 * 64),
        (dict(num_hidden_layers=3, hidden_size=64, num_attention_heads=8, num_key_value_heads=2, head_dim=16, vocab_size=9), 192),
        (dict(num_hidden_layers=3, hidden_size=64, num_attention_heads=8, kv_lora_rank=4, vocab_size=9), None),
        (dict(model_type="mamba", num_hidden_layers=3, hidden_size=64, vocab_size=9), None),
    ],
)
def test_what_layers_keep_is_told_where_it_is_keys_and_values(config, numbers):
    assert predicted.cached_numbers(json.loads(json.dumps(config))) == numbers
