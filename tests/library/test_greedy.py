"""Greedy twice: a rule that leaves the likeliest token, and a drafter that drafts it."""

import pytest
from one_step import committed

from penstock.dsl.param import param
from penstock.dsl.pipeline import Pipeline
from penstock.face import explain, promise
from penstock.ir.draft import Growth
from penstock.ir.errors import PenstockError
from penstock.library import (
    EntropyAdaptive,
    ModelDrafter,
    ModelVerifier,
    PromptLookup,
    Repetition,
    StochasticBeam,
    Temperature,
    TopK,
    TopKTree,
    TopP,
    ToyGrammar,
)
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages

TARGET, GREEDY = ModelVerifier(model="t"), ModelVerifier(model="t", rule="greedy")
LIKELIEST = ModelDrafter(model="d", length=2, greedy=True)
MASKED = (Repetition(alpha=1.4), ToyGrammar.over(3))
T, D = [0.5, 0.3, 0.15, 0.05], [0.1, 0.4, 0.2, 0.3]
DRAFTERS = [
    LIKELIEST,
    ModelDrafter(model="d", length=2),
    ModelDrafter(model="d", length=2, paths=2),
    StochasticBeam(model="d", width=2, length=2),
    TopKTree(model="d", branching=(2, 1)),
    PromptLookup(length=2),
]


# --- the rule ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("drafter", DRAFTERS)
def test_the_rule_is_exact_for_every_law(drafter):
    certificate = certify_stages([drafter, GREEDY, *MASKED], limit=4, eos=(2,), batch=2)
    assert certificate.holds, certificate.report()
    assert len(certificate.found.law) == 1


@pytest.mark.parametrize("shape", [(), MASKED, (TopK(k=2), TopP(p=0.5))])
def test_the_rule_is_temperature_zero(shape):
    drafter = ModelDrafter(model="u", length=2)  # after the target in the alphabet: its table is the one it has alone
    rule, cold = [drafter, GREEDY, *shape], [drafter, TARGET, *shape, Temperature(value=0)]
    for lowered in (True, False):
        rows = [decode_stages(stages, range(4), lowered=lowered, eos=(2,), limit=12) for stages in (rule, cold)]
        assert rows[0] == rows[1]  # as many steps too: the drafter follows
    alone = decode_stages([GREEDY, *shape], range(4), eos=(2,), limit=12)
    assert [row.tokens for row in alone] == [row.tokens for row in rows[0]]


@pytest.mark.parametrize("value", [0.8, 1.0, param("heat", default=0)])
def test_a_temperature_contradicts_the_rule_and_both_are_named(value):
    gate = EntropyAdaptive(models=("t", "l"), tau=1.0, rule="greedy")
    for verifier, name in ((GREEDY, "verifier.model.0"), (gate, "gate.ead.0")):
        with pytest.raises(PenstockError, match=rf"{name}, field rule: greedy .* transform.temperature.0 is there") as seen:
            elaborate([verifier, Repetition(), Temperature(value=value)])
        assert "leave transform.temperature.0 out" in str(seen.value)


def test_the_rule_beside_temperature_zero_is_said_twice_and_no_contradiction():
    assert certify_stages([DRAFTERS[1], GREEDY, Temperature(value=0)], limit=4).holds


def test_the_rules_promise_is_greedy_exact():
    declared = Pipeline(models={"t": "table:7:1", "d": "table:7:2"}, stages=(DRAFTERS[1], GREEDY))
    assert promise(declared).startswith("greedy-exact")
    assert "greedy_rule: verifier.model.0 leaves the likeliest token alone" in explain(declared)


# --- the draft -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize("shape", [(), (*MASKED, Temperature(value=0.7)), (Temperature(value=0),)])
@pytest.mark.parametrize("rule", ["auto", "kseq", "block", "match", "coupled"])
def test_the_likeliest_tokens_are_a_fixed_draft(rule, shape, mirror):
    stages = [LIKELIEST.model_copy(update={"mirror": mirror}), ModelVerifier(model="t", rule=rule), *shape]
    certificate = certify_stages(stages, limit=4, eos=(2,), batch=2)
    assert certificate.holds, certificate.report()
    assert not any("drafter" in label for label in certificate.found.coverage)  # it draws nothing
    lowered, meant = (decode_stages(stages, range(6), lowered=x, eos=(2,), limit=12) for x in (True, False))
    assert lowered == meant


def test_a_likely_token_is_accepted_as_often_as_the_target_gives_it():
    for rule in ("kseq", "block", "match"):
        law = committed([LIKELIEST, ModelVerifier(model="t", rule=rule)], T, D)
        assert [law[count] for count in (1, 2, 3)] == pytest.approx([0.7, 0.3 * 0.7, 0.3 * 0.3], abs=1e-12)


def test_a_draft_without_replacement_rule_is_refused_for_it():
    with pytest.raises(PenstockError, match="drafter.model.0 drafts are fixed"):
        elaborate([LIKELIEST, ModelVerifier(model="t", rule="recursive")])


def test_several_greedy_paths_are_refused_where_they_are_declared():
    with pytest.raises(PenstockError, match="2 greedy paths are one path"):
        Pipeline(models={"d": "table:7:1"}, stages=[{"drafter.model": {"model": "d", "paths": 2, "greedy": True}}])


# --- planted faults ------------------------------------------------------------------------------------------------
class Softly(ModelDrafter):
    """Planted: the likeliest tokens, handed on with the distribution that they are the likeliest of."""

    def propose(self, step, stage):
        growth = Growth(step, self.seat, stage)
        growth.likeliest()
        growth.levels[0] = (*growth.levels[0][:2], growth.distribution())
        return growth.finish("fixed", width=1)


def test_a_certain_draft_with_a_softmax_for_a_q_is_seen():
    assert certify_stages([Softly(model="d", length=1, greedy=True), TARGET], limit=3).against_text > 1e-3
