"""Taps read what a step decided, and change nothing."""

import pytest

from penstock.dsl.pipeline import Pipeline
from penstock.face import certify, compile, explain
from penstock.ir.errors import PenstockError
from penstock.library import Commits, ModelDrafter, ModelVerifier, Repetition, Temperature
from penstock.testing import decode_stages

STAGES = (ModelDrafter(model="d", length=3), ModelVerifier(model="t"), Repetition(), Temperature(value=0.7))
MODELS = {"t": "table:7:1:2", "d": "table:7:2"}


def test_a_tap_counts_what_steps_commit_and_changes_no_token():
    tapped, plain = (compile(Pipeline(models=MODELS, stages=(*STAGES, *tap))) for tap in ((Commits(most=3),), ()))
    prompts = ["1 2", "0", "5 5 5"]
    for result, bare in zip(tapped.generate(prompts), plain.generate(prompts), strict=True):
        assert (result.tokens, result.stats.steps, bare.taps) == (bare.tokens, bare.stats.steps, {})
        counts = result.taps["tap.commits"]
        assert sum(counts) == result.stats.steps and len(counts) == 3
        assert counts[0] + 2 * counts[1] + 3 * counts[2] <= len(result.tokens) <= counts[0] + 2 * counts[1] + 4 * counts[2]


def test_a_count_is_the_steps_own():
    (result,) = compile(Pipeline(models={"t": "table:7:1"}, stages=(ModelVerifier(model="t"), Commits(most=2)))).generate(["1"])
    assert result.taps == {"tap.commits": [64, 0]}


def test_lowered_counts_as_meant_and_the_proof_is_the_same():
    stages = (*STAGES[:3], Commits())
    lowered, meant = (decode_stages(stages, [3, 4], lowered=eager, vocab=5, limit=9) for eager in (True, False))
    assert lowered == meant
    pipeline = Pipeline(models=MODELS, stages=(*STAGES, Commits()))
    assert certify(pipeline).holds and "reference: verifier.model >> transform" in explain(pipeline)
    assert "tap" not in explain(pipeline).split("step\n")[0]


def test_two_that_carry_the_same_are_refused():
    with pytest.raises(PenstockError, match="tap.commits.1 carries tap.commits, as another stage"):
        compile(Pipeline(models=MODELS, stages=(*STAGES, Commits(), Commits())))
