"""What `explain` says before the step: promise, laws, rule, and what elaboration did, and why."""

from pathlib import Path

import pytest

import penstock
from penstock.dsl.pipeline import Pipeline
from penstock.library import Del, ModelDrafter, ModelVerifier, OrElse, PromptLookup, Repetition, TopK, ToyGrammar, TypicalAcceptor
from penstock.library.gates.ead import EntropyGate
from penstock.library.verifiers.switched import SwitchedVerifier

EXAMPLES = Path(__file__).parent.parent / "examples"
SAID = {
    "kseq": """\
reference: verifier.model >> transform.repetition >> transform.temperature
steered by: transform.repetition.0, transform.temperature.0
guarantee: exact (same distribution as the reference)
reproducible: yes, by request key
drafts: drafter.model.0 is iid: each token drawn by itself from q, duplicates kept
accepted by: kseq, picked for drafts that are iid
mirror: transform.repetition.0, transform.temperature.0 onto drafter.model.0, so that it drafts what can be accepted""",
    "or_else": """\
reference: verifier.model >> transform.temperature
steered by: transform.temperature.0
guarantee: exact (same distribution as the reference)
reproducible: yes, by request key
drafts: drafter.or_else.0.first, a drafter.prompt_lookup, is fixed: certain of its tokens, which follow from the text
drafts: drafter.or_else.0.second, a drafter.stochastic_beam, is without_replacement: drawn from q, siblings never twice
accepted by: each row's own: kseq for drafts that are fixed, recursive for drafts that are without_replacement
mirror: nothing onto drafter.or_else.0.first, which has no logits to shape
mirror: transform.temperature.0 onto drafter.or_else.0.second, so that it drafts what can be accepted""",
    "top_k_tree": """\
reference: verifier.model >> constraint.automaton >> transform.top_p
steered by: constraint.automaton.0, transform.top_p.0
guarantee: exact (same distribution as the reference)
reproducible: yes, by request key, with any drafter or none
drafts: drafter.top_k_tree.0 is arbitrary: with no q that it would be a draw from
accepted by: match, picked for drafts that are arbitrary
mirror: constraint.automaton.0, transform.top_p.0 onto drafter.top_k_tree.0, so that it drafts what can be accepted""",
    "ambedkar": """\
reference: verifier.model >> steer.ambedkar
steered by: steer.ambedkar.0
guarantee: exact (same distribution as the reference)
reproducible: yes, by request key
drafts: drafter.model.0 is iid: each token drawn by itself from q, duplicates kept
accepted by: kseq, picked for drafts that are iid
mirror: not steer.ambedkar.0, which reads more than a drafter has""",
    "freedave": """\
reference: denoiser.model >> unmasker.confidence
steered by: nothing
guarantee: greedy-exact (same tokens as the reference)
reproducible: yes, by request key""",
}


def said(pipeline):
    """The lines before the step."""
    return penstock.explain(pipeline).split("\nstep\n")[0]


@pytest.mark.parametrize("name", SAID)
def test_an_example_is_explained(name):
    assert said(penstock.load(EXAMPLES / f"{name}.yaml")) == SAID[name]


DRAFTER = ModelDrafter(model="d", length=2)


def lines(*stages):
    return said(Pipeline(models={"t": "table:7:1:4", "d": "table:7:2"}, stages=stages)).splitlines()


def test_a_named_rule_says_who_named_it():
    told = lines(DRAFTER, ModelVerifier(model="t", rule="block"))
    assert "accepted by: block, named by verifier.model.0, for drafts that are iid" in told
    told = lines(DRAFTER, ModelVerifier(model="t", rule="coupled"))
    assert [line.endswith("on the noise of the selections that it guesses at") for line in told[4:]] == [True, False]
    told = lines(DRAFTER, ModelVerifier(model="t"), TypicalAcceptor())
    assert "accepted by: typical, named by acceptor.typical.0, for drafts that are iid" in told
    assert "guarantee: approximate, because of acceptor.typical.0" in told


def test_a_greedy_rule_steers():
    told = lines(DRAFTER, ModelVerifier(model="t", rule="greedy"), Repetition())
    assert "steered by: transform.repetition.0, verifier.model.0 (rule: greedy)" in told
    assert "guarantee: greedy-exact (same tokens as the reference)" in told
    assert told[-1].startswith("mirror: transform.repetition.0, acceptor.walk.0 onto drafter.model.0")


def test_what_is_hoisted_says_over_what_and_why():
    told = lines(ModelVerifier(model="t"), TopK(k=2), ToyGrammar.over(7))
    assert told[4:] == [
        "drafts: none, a step commits one token",
        "hoist_masks: the acceptor's logits take constraint.automaton.0 before transform.top_k.0, "
        "which could leave it no token to allow",
    ]


def test_a_drafter_that_wants_no_mirror_is_said_not_to_have_one():
    plain = DRAFTER.model_copy(update={"mirror": False})
    assert lines(plain, ModelVerifier(model="t"), Repetition())[-1].endswith("onto drafter.model.0, which says mirror: false")
    told = lines(OrElse(first=PromptLookup(), second=plain), ModelVerifier(model="t"), Repetition())
    assert told[-1].endswith("onto drafter.or_else.0.second, which says mirror: false")


@pytest.mark.parametrize(("rule", "answer"), [("auto", "not by request key alone"), ("match", "yes"), ("coupled", "yes")])
def test_rows_that_share_a_drafter_are_reproducible_where_no_draft_moves_a_token(rule, answer):
    told = lines(Del(model="t", exits=(1, 2)), ModelVerifier(model="t", rule=rule))
    assert told[3].startswith(f"reproducible: {answer}")


def test_a_scorer_without_an_acceptor_of_its_own_takes_the_rule_of_the_draft():
    gate = EntropyGate(tau=1.0)
    told = lines(DRAFTER, SwitchedVerifier(models=("t", "d"), by="gate.entropy.0"), gate)
    assert "accepted by: kseq, picked for drafts that are iid" in told
