"""The JSON Schema says of specs what `load` says, as far as JSON Schema can."""

import json

import jsonschema
import pytest
import yaml

from penstock.dsl.schema import schema
from penstock.dsl.spec import load
from penstock.ir.errors import PenstockError

GOOD = {
    "bare": "pipeline: [trivial.scorer]",
    "empty": "pipeline: [trivial.scorer: ]",
    "fields": "pipeline: [trivial.drafter: {model: zoo:a, length: 2}]",
    "parameter": "pipeline: [trivial.transform: {value: {param: t, default: 0.5}}]",
    "nested": "pipeline: [trivial.transform: {inner: trivial.tap, others: [trivial.transform: {value: 2}]}]",
    "spelt": "pipeline: [trivial.transform: {schema: x.json}]",
    "all": "models: {a: zoo:a}\nviews: {v: {model: a, prompt: trivial.prompt}}\npipeline: [trivial.scorer]\n"
    "generate: {seed: 1}\nprompts: [x]",
    "prompt": "prompt: x\npipeline: [trivial.scorer]",
    "graph": "pipeline: {nodes: {s: trivial.scorer, t: trivial.tap}, edges: [[s, t]]}",
}
BAD = {
    "no pipeline": "prompt: x",
    "unknown entry": "pipelin: []\npipeline: [trivial.scorer]",
    "unknown stage": "pipeline: [trivial.tup]",
    "two stages": "pipeline: [{trivial.tap: {}, trivial.gate: {}}]",
    "unknown field": "pipeline: [trivial.drafter: {model: zoo:a, lenght: 2}]",
    "missing field": "pipeline: [trivial.drafter: {}]",
    "wrong type": "pipeline: [trivial.drafter: {model: zoo:a, length: two}]",
    "out of range": "pipeline: [trivial.drafter: {model: zoo:a, length: 0}]",
    "bad parameter": "pipeline: [trivial.transform: {value: {param: T}}]",
    "bad nested": "pipeline: [trivial.transform: {inner: {trivial.transform: {value: x}}}]",
    "bad name": "models: {'a b': zoo:a}\npipeline: [trivial.scorer]",
    "bad generate": "generate: {max_new_tokens: 0}\npipeline: [trivial.scorer]",
    "bad graph": "pipeline: {nodes: {s: trivial.scorer}, edges: [[s]]}",
}


@pytest.fixture(scope="module")
def validator():
    found = json.loads(json.dumps(schema()))
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_loads_is_valid(validator, text):
    load("penstock: 1\n" + text)
    validator.validate(yaml.safe_load("penstock: 1\n" + text))


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_not_valid_does_not_load(validator, text):
    with pytest.raises(PenstockError):
        load("penstock: 1\n" + text)
    assert not validator.is_valid(yaml.safe_load("penstock: 1\n" + text))


def test_every_stage_and_field_is_described(validator):
    text = json.dumps(validator.schema)
    assert "trivial.drafter" in text
    assert "How many." in text
    assert "x-penstock" not in text
    assert validator.schema["required"] == ["penstock", "pipeline"]
