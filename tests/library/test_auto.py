"""What a user of ``length: auto`` writes, is told, and is refused."""

import pytest

import penstock
from penstock.dsl.pipeline import Pipeline
from penstock.ir.errors import PenstockError
from penstock.library import (
    Auto,
    Del,
    Forced,
    JsonSchema,
    ModelDrafter,
    ModelVerifier,
    OrElse,
    PromptLookup,
    StochasticBeam,
    Temperature,
)
from penstock.testing import certify_stages

TARGET = ModelVerifier(model="t")
MODELS = {"t": "table:7:1:3", "d": "table:7:2"}


def said(*stages):
    return penstock.explain(Pipeline(models=MODELS, stages=stages)).split("\nstep\n")[0].splitlines()


@pytest.mark.parametrize("tail", [(TARGET,), (ModelVerifier(model="t", rule="block"),)])
def test_tokens_that_follow_the_clock_are_said_to(tail):
    told = said(ModelDrafter(model="d", length="auto"), *tail)
    assert told[3].startswith("reproducible: no, how far drafter.model.0 drafts depends on the clock and the batch")
    assert told[-1].startswith("drafter.model.0: drafts 0 to 8 tokens, as many as are worth most")


@pytest.mark.parametrize(
    "tail", [(ModelVerifier(model="t", rule=rule),) for rule in ("match", "coupled", "greedy")] + [(TARGET, Temperature(value=0))]
)
def test_tokens_that_no_draft_moves_stay_reproducible(tail):
    assert said(ModelDrafter(model="d", length="auto"), *tail)[3].startswith("reproducible: yes, by request key")


def test_a_row_tells_how_many_steps_drafted_how_far():
    pipeline = Pipeline(models=MODELS, stages=(ModelDrafter(model="d", length=Auto(longest=3)), TARGET))
    for result in penstock.run(pipeline, ["1 2", "3"], max_new_tokens=30):
        lengths = result.taps["draft_lengths"]
        assert len(lengths) == 4 and sum(lengths) == result.stats.steps
        assert result.stats.draft_forwards == sum(k * n for k, n in enumerate(lengths))


def test_auto_is_one_word_or_says_its_bound():
    for form in ("auto", {"auto": 8}, Auto(longest=8)):
        drafter = ModelDrafter(model="d", length=form)
        assert drafter.auto == Auto() and drafter.room == 8 and drafter.decision == "auto.length"
    assert ModelDrafter(model="d", length=3).decision is None and not ModelDrafter(model="d", length=3).registers(2, 5)
    assert ModelDrafter(model="d", length={"auto": 5, "by_row": True}).model_dump()["drafter.model"]["length"] == {
        "auto": 5,
        "by_row": True,
    }


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: ModelDrafter(model="d", length="auto", paths=2), "drafter.model: length: auto is for one path, and there are 2"),
        (lambda: StochasticBeam(model="d", length="auto"), "drafter.stochastic_beam, field length"),
        (lambda: Del(model="t", exits=(1,), longest="auto"), "drafter.del, field longest"),
        (lambda: OrElse(first=PromptLookup(length="auto"), second=ModelDrafter(model="d")), "this drafter.prompt_lookup decides"),
        (lambda: ModelDrafter(model="d", length={"auto": 0}), "drafter.model, field length.auto"),
    ],
)
def test_what_cannot_follow_is_refused_where_it_is_written(make, why):
    with pytest.raises(PenstockError, match=why) as refused:
        make()
    assert "test_auto.py" in refused.value.where


def test_forced_drafts_follow_too():
    schema = JsonSchema(schema_=True).small(3)
    assert certify_stages([Forced(length=Auto(longest=2)), TARGET, schema], eos=(2,), limit=4, batch=2).holds
