"""Rows end valid in time: whatever is drawn, a text whose shortest ending fitted once is never cut short."""

import json
import random

import jsonschema
import pytest
import torch

import penstock
from penstock.dsl.pipeline import Pipeline
from penstock.ir.errors import PenstockError
from penstock.library import JsonSchema, ModelVerifier, Temperature
from penstock.library.constraints.engine import closing
from penstock.library.constraints.engine.additions import Additions
from penstock.library.constraints.engine.pieces import Bytes
from penstock.library.constraints.engine.states import states_over
from penstock.library.constraints.schema.reach import Reach, Unbounded, reach


class Some:
    """Every byte, some tokens that cross the borders of values, and an end."""

    crossing = (b'"}', b'", "', b'": ', b'{"', b"12", b"tr", b"ab", b"}}", b"[1, ")
    pieces = (*(bytes([b]) for b in range(256)), *crossing, b"<|end|>")
    eos = special = frozenset({265})


X = {"x": {"type": "number"}}
POINT = {"type": "object", "properties": X, "required": ["x"], "additionalProperties": {"type": "integer"}}
NESTED = {"type": "object", "properties": {"z": {"type": "string"}}, "required": ["z"], "additionalProperties": False}
SCHEMAS = {
    "record": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    "optional": {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "integer", "minimum": 100}, "minItems": 2},
            "b": {"type": "null"},
        },
        "additionalProperties": False,
    },
    "words": {"enum": ["a", "abcdefgh", "b", {"x": [1, 2]}, 17]},
    "choices": {"anyOf": [NESTED, {"type": "array", "items": {"type": "number"}, "minItems": 4}, {"const": "long word"}]},
    "reference": {
        "type": "object",
        "properties": {"p": {"$ref": "#/definitions/p"}, "when": {"type": "string", "format": "time"}},
        "required": ["p"],
        "additionalProperties": False,
        "definitions": {"p": POINT},
    },
    "items": {
        "type": "array",
        "items": [{"type": "boolean"}, {"enum": ["red", "greenish"]}],
        "additionalItems": False,
        "minItems": 2,
    },
    "nested": {"type": "array", "items": NESTED},
}


def states_of(name):
    stage = JsonSchema(schema_=SCHEMAS[name])
    return states_over(stage.said(), Some, stage.reach())


def row(states, limit, rng):
    """The tokens of a row that ends only where it must, drawn evenly."""
    state, ids = 0, []
    while len(ids) < limit and not (ids and ids[-1] in Some.eos):
        options = states.allowed(state, limit).nonzero().flatten().tolist()
        ids.append(rng.choice([token for token in options if token not in Some.eos] or options))
        state = states.after(state, ids[-1])
    return ids


def ended(ids):
    return ids[-1] in Some.eos


def text(ids):
    return json.loads(b"".join(Some.pieces[token] for token in ids if token not in Some.eos))


@pytest.mark.parametrize("name", SCHEMAS)
def test_rows_end_valid_within_their_limit(name):
    states, rng = states_of(name), random.Random(3)
    rows = [row(states, states.least() + more, rng) for more in (0, 1, 2, 4) for _ in range(2)]
    assert all(ended(ids) for ids in rows)
    for ids in rows:
        jsonschema.Draft7Validator(SCHEMAS[name]).validate(text(ids))


def cut_short(name, tries=12):
    states, rng = states_of(name), random.Random(0)
    return any(not ended(row(states, states.least() + 2, rng)) for _ in range(tries))


def test_without_what_a_cut_token_costs_rows_are_cut_short(monkeypatch):
    def within(self, spare, completion, tokens):
        return self.most <= spare

    monkeypatch.setattr(Additions, "within", within)
    assert cut_short("record")


def test_without_trying_the_others_rows_are_cut_short(monkeypatch):
    monkeypatch.setattr(closing.Closing, "_fits", lambda self, *_: True)
    assert cut_short("nested")


def test_far_from_the_limit_nothing_is_held_back():
    states = states_of("record")
    far = states.closing.reach.extent + 2
    state = 0
    for token in b'{"name": "':
        assert torch.equal(states.allowed(state, far), states.allowed(state, None))
        state = states.after(state, token)
    near = states.allowed(state, len('{"name": "') + states.closing.cost(states.closing.completion(state)))
    assert near.nonzero().flatten().tolist() == [Some.pieces.index(b'", "')]


@pytest.mark.parametrize(
    ("schema", "bounds"),
    [
        ({"type": "boolean"}, Reach(5, 0, 0, 0)),
        ({"enum": ["ab", None]}, Reach(4, 4, 0, 0)),
        ({"type": "integer", "minimum": 100}, Reach(14, 0, 14, 0)),
        ({"type": ["null", "boolean"]}, Reach(5, 5, 0, 0)),
        ({"type": "string", "minLength": 9}, Reach(17, 0, 0, 0)),
        ({"type": "array", "items": {"type": "null"}, "minItems": 1}, Reach(20, 0, 0, 8)),
    ],
)
def test_bounds_by_hand(schema, bounds):
    assert reach(schema) == bounds


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "array"},
        {"type": "object"},
        {"type": "string", "pattern": "a+"},
        {"allOf": [{"type": "null"}]},
        {"properties": {"a": {"type": "null"}}},
        {"$ref": "#/definitions/a", "definitions": {"a": {"type": "array", "items": {"$ref": "#/definitions/a"}}}},
        {"type": "object", "additionalProperties": False, "required": ["a"]},
    ],
)
def test_what_may_go_on_without_end_has_no_bound(schema):
    with pytest.raises(Unbounded):
        reach(schema)


def asked(schema, **fields):
    stages = (ModelVerifier(model="t"), Temperature(value=1.0), JsonSchema(schema_=schema))
    return Pipeline(models={"t": "zoo:target"}, stages=stages, **fields)


def test_a_limit_that_nothing_fits_in_is_refused():
    compiled = penstock.compile(asked({"const": "a long text that takes a few tokens"}))
    with pytest.raises(PenstockError, match=r"shortest text found takes \d+ tokens, and max_new_tokens is 3\n  fix") as refused:
        compiled.generate(["Say it."], max_new_tokens=3)
    least = int(str(refused.value.fix).split()[-1])
    (whole,) = compiled.generate(["Say it."], max_new_tokens=least)
    assert (json.loads(whole.text), whole.status) == ("a long text that takes a few tokens", "eos")
    assert len(whole.tokens) == least


def test_a_schema_without_bound_says_that_rows_may_be_cut_and_cuts_them():
    pipeline = asked({"type": "string", "pattern": "^[a-z]{40,}$"})
    assert "rows may be cut short by max_new_tokens (status length): the schema at / may go on" in penstock.explain(pipeline)
    (result,) = penstock.run(pipeline, ["Say it."], max_new_tokens=8)
    assert result.status == "length" and len(result.tokens) == 8


LIST = {"type": "object", "properties": {"items": {"type": "array", "items": {"type": "string"}}}, "required": ["items"]}


@pytest.mark.parametrize(
    ("text", "given", "completion", "rest"),
    [
        (b'{"items": ["ab', 1, b'"]}', b'"]}'),  # all of it still fits
        (b'{"items": ["ab"', 2, b'"]}', b"]}"),  # the token said some of it
        (b'{"items": ["a"]', 2, b'"]}', b"}"),
        (b'{"items": ["j', 2, b"]}", b'"]}'),  # it opened a string
        (b'{"items": [', 2, b"}", b"]}"),
        (b'{"items": ["a"]', 1, b'"]}', b"}"),  # one more byte may be left out than the token has
        (b'{"items": ["\xcb', 1, b'"]}', None),  # half a character
        (b'{"items": ["a"', 0, b'"", "x"]}', None),  # more would have to be left out
    ],
)
def test_what_is_left_of_a_completion_ends_the_text(text, given, completion, rest):
    matcher = states_over(JsonSchema(schema_=LIST | {"additionalProperties": False}).said(), Bytes(), None).start.copy()
    assert all(matcher.advance(byte) for byte in text)
    assert closing.rest_of(completion, given, matcher) == rest


def test_few_completions_are_searched_for(monkeypatch):
    """Of the tokens that are tried near the limit all leave something of the completion, but for parts of a character."""
    found: list[bytes] = []
    search = closing.shortest
    monkeypatch.setattr(closing, "shortest", lambda *given: found.append(search(*given)) or found[-1])
    stage = JsonSchema(schema_=LIST | {"additionalProperties": False})
    states = states_over(stage.said(), Some(), Reach(extent=10**6, leap=10**6, choice=0, number=0))
    state = 0
    for byte in b'{"items": ["a':
        state = states.after(state, byte)
    mask = states.allowed(state, states.texts.length[state] + 4)
    assert mask[b'"'[0]] and not mask[b"a"[0]]
    first, *others = found
    assert first == b'{"items": []}' and {each.lstrip(bytes(range(0x80, 0xC0))) for each in others} == {b'"]}'}
    assert min(each[0] for each in others) >= 0x80
