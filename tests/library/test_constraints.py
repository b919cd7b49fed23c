"""Grammars as path state: certified with the engine's own matchers over digits, and told from planted faults."""

import json
import subprocess
import sys

import pytest
import torch

import penstock
from penstock.dsl.pipeline import Pipeline
from penstock.ir.errors import PenstockError
from penstock.library import Grammar, JsonSchema, ModelDrafter, ModelVerifier, PromptLookup, Regex, Temperature, TopKTree
from penstock.library.constraints.engine import guidance, states, texts
from penstock.library.constraints.engine.pieces import Bytes, Pieces
from penstock.library.constraints.engine.states import states_over
from penstock.library.constraints.letters import Letters
from penstock.testing import certify_stages, decode_stages

VERIFIER = ModelVerifier(model="t")
SMALL = dict(eos=(2,), limit=4)
CONSTRAINTS = (Regex(pattern="x"), Grammar(grammar="start: x"), JsonSchema(schema_=True))
DRAFTERS = {
    "none": [],
    "chain": [ModelDrafter(model="d", length=2)],
    "iid": [ModelDrafter(model="d", length=2, paths=2)],
    "tree": [TopKTree(model="d", branching=(2, 1))],
    "unmirrored": [ModelDrafter(model="d", length=2, mirror=False)],
    "lookup": [PromptLookup(length=2)],
}
TEXTS = {
    "constraint.regex": {"2", "21", "12", "121", "112", "1"},
    "constraint.grammar": {"12"},
    "constraint.json_schema": {"1", "12", "211"},
}
"""What each toy grammar allows of at most three digits, by its definition."""


def told(law):
    """The ended texts of a law, and the beginnings that the limit has cut."""
    text = {"".join("12"[t] for t in ids if t < 2): ids[-1] == 2 for ids in law}
    return {t for t, ended in text.items() if ended}, {t for t, ended in text.items() if not ended}


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda c: c.kind)
@pytest.mark.parametrize("drafter", DRAFTERS)
def test_a_grammar_is_certified_with_its_real_matchers(constraint, drafter):
    stages = [*DRAFTERS[drafter], VERIFIER, Temperature(value=0.8), constraint.small(3)]
    certificate = certify_stages(stages, batch=2, **SMALL)
    assert certificate.holds, certificate.report()
    ended, cut = told(certificate.found.law)
    assert ended == TEXTS[constraint.kind]
    assert cut == {
        "constraint.regex": {"1111", "1112", "1121"},
        "constraint.grammar": {"1111", "1112", "1122"},
        "constraint.json_schema": set(),
    }[constraint.kind]
    lowered, meant = (decode_stages(stages, [5, 11, 3], lowered=eager, **SMALL) for eager in (True, False))
    assert lowered == meant


def test_near_the_limit_a_text_that_would_not_end_is_out_of_reach():
    certificate = certify_stages([VERIFIER, JsonSchema(schema_=True).small(3)], eos=(2,), limit=3)
    assert certificate.holds
    assert told(certificate.found.law) == ({"1", "12"}, set())


FAULTS = {
    "the state of the root at every site": ("after", lambda self, state, token: state),
    "the end is always allowed": ("allowed", lambda self, state, limit: torch.tensor([True, True, True])),
    "the limit is not read": ("allowed", lambda self, state, limit, real=states.States.allowed: real(self, state, None)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault, monkeypatch):
    method, wrong = FAULTS[fault]
    monkeypatch.setattr(states.States, method, wrong)
    stages = [ModelDrafter(model="d", length=2), VERIFIER, JsonSchema(schema_=True).small(3)]
    found = certify_stages(stages, eos=(2,), limit=3).found
    assert told(found.law) != ({"1", "12"}, set())


def test_states_are_numbers_of_texts_whatever_is_forgotten():
    made = states_over(guidance.of_regex("(1|2)*1"), Letters(3), None)
    states_of = [0]
    for token in (0, 1, 1, 0):
        states_of.append(made.after(states_of[-1], token))
    assert [made.after(0, 0), made.after(made.after(0, 0), 1)] == states_of[1:3]
    fresh = [made.allowed(state, None).tolist() for state in states_of]
    assert fresh == [[True, True, ends] for ends in (False, True, False, False, True)]
    made.standing.known.most = made.masks.most = 1
    made.masks.clear()
    assert [made.allowed(state, None).tolist() for state in reversed(states_of)] == fresh[::-1]
    assert list(made.standing.known) == [0]
    made.forget()
    assert made.texts.parent == [-1]


def test_what_follows_a_forbidden_token_or_the_end_is_nothing():
    made = states_over(guidance.of_regex("12"), Letters(3), None)
    for path in ((1,), (0, 1, 2), (0, 0, 1)):
        state = 0
        for token in path:
            state = made.after(state, token)
        assert not made.allowed(state, None).any()


def test_every_way_of_writing_what_is_forced_is_allowed():
    class Joined(Letters):
        def __init__(self):
            self.pieces, self.eos = (b"1", b"2", b"12", b"<|other|>", b"<|end|>"), frozenset({4})
            self.special = frozenset({3, 4})

    made = states_over(guidance.of_regex("12"), Joined(), None)
    assert made.allowed(0, None).tolist() == [True, False, True, False, False]
    assert made.forced(0, 4) == [2]
    assert made.forced(made.after(0, 2), 4) == [4]
    named = states_over(guidance.of_lark('start: <|other|> "1"'), Joined(), None)
    assert named.allowed(0, None).nonzero().flatten().tolist() == [3]


def test_fewest_tokens():
    class Parts:
        pieces, special, eos = (b"a", b"b", b"ab", b"bbb", b"<|end|>"), frozenset({4}), frozenset({4})

    parts = Pieces(Parts())
    assert (parts.split(b"abbb"), parts.count(b"abbb"), parts.count(b"abc"), parts.split(b"")) == ((0, 3), 2, None, ())


def test_recent_keeps_the_first_and_the_last():
    kept = texts.Recent(2)
    for text in (0, 1, 2):
        kept.keep(text, str(text))
    assert list(kept) == [0, 2]


def pipeline(stage, model="zoo:target"):
    return Pipeline(models={"t": model}, stages=(VERIFIER, stage))


REFUSED = {
    "no file": (JsonSchema(schema_="none.json"), r"field schema: none.json cannot be read: No such file"),
    "no rules": (Grammar(grammar="none.lark"), r"field grammar: none.lark cannot be read"),
    "a keyword": (JsonSchema(schema_={"items": {"not": {}}}), r"field schema: schema at /items/not: the keyword not"),
}
UNCOMPILED = {
    "a bad pattern": (Regex(pattern="a("), "zoo:target", r"regex, field pattern: it does not compile: .*: unclosed group"),
    "bad rules": (Grammar(grammar="start: y"), "zoo:target", r"field grammar: it does not compile: at 1\(8\): unknown name"),
    "too slow": (Regex(pattern="a", compile_seconds=1e-4), "zoo:target", r"not compile within 0.0001 seconds\n  fix: .*seconds"),
    "no end": (Regex(pattern="1"), "table:3:1", r"no token of its models ends a text"),
    "nothing fits": (JsonSchema(schema_={"type": "string", "enum": [1]}), "zoo:target", r"does not compile: Unsatisfiable"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_grammar_that_is_none_is_refused_without_an_engine(case, monkeypatch):
    stage, message = REFUSED[case]
    monkeypatch.setattr(guidance, "NAME", "no_such_package")
    with pytest.raises(PenstockError, match=message) as refused:
        penstock.check(pipeline(stage))
    assert refused.value.where and "test_constraints.py" in refused.value.where and refused.value.fix


@pytest.mark.parametrize("case", UNCOMPILED)
def test_a_grammar_that_does_not_compile_is_one_message(case):
    stage, model, message = UNCOMPILED[case]
    with pytest.raises(PenstockError, match=message) as refused:
        penstock.compile(pipeline(stage, model))
    assert "test_constraints.py" in str(refused.value.where)


def test_a_missing_engine_is_named(monkeypatch):
    monkeypatch.setattr(guidance, "NAME", "no_such_package")
    with pytest.raises(PenstockError, match=r"need the package no_such_package\n  fix: pip install 'penstock\[grammar\]'"):
        penstock.compile(pipeline(Regex(pattern="a")))


def test_checking_and_explaining_import_no_engine():
    code = """
import sys, penstock
from penstock.dsl.pipeline import Pipeline
from penstock.library import JsonSchema, ModelVerifier
p = Pipeline(models={"t": "zoo:target"}, stages=(ModelVerifier(model="t"), JsonSchema(schema_={"type": "null"})))
assert "rows end valid within max_new_tokens" in penstock.explain(p)
print([name for name in ("llguidance", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_bytes_that_no_token_spells_are_an_error_of_the_grammar():
    with pytest.raises(PenstockError, match="no token spells what the grammar wants next"):
        states_over(guidance.of_regex("a"), Letters(3), None).allowed(0, None)
    assert guidance.begin(guidance.of_regex("a"), Bytes()).takes([97])
