"""What elaboration makes of a pipeline as written, and what it refuses."""

from typing import ClassVar

import pytest

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.standin import StandIn
from penstock.library import LayerSkip, ModelDrafter, ModelVerifier, Repetition, Temperature, TopP, ToyGrammar
from penstock.passes.build import build
from penstock.passes.order import elaborate

DRAFTER, VERIFIER = ModelDrafter(model="d", length=2), ModelVerifier(model="t")
TREE = frozenset({"tree"})


def names(placed):
    return [p.name for p in placed]


def test_phases_sort_by_role_and_keep_the_written_order():
    plan = elaborate([DRAFTER, VERIFIER, Temperature(), TopP(), Temperature(value=0.5)])
    assert plan.drafter.name == "drafter.model.0" and names(plan.scorers) == ["verifier.model.0"]
    assert names(plan.compose) == ["transform.temperature.0", "transform.top_p.0", "transform.temperature.1"]
    assert plan.acceptor.name == "acceptor.walk.0"


def test_hard_masks_go_before_what_shrinks_the_support():
    plan = elaborate([VERIFIER, Temperature(), TopP(), ToyGrammar.over(3)])
    assert names(plan.compose)[-1] == "constraint.automaton.0"
    assert names(plan.accepted) == ["transform.temperature.0", "constraint.automaton.0", "transform.top_p.0"]
    hoisted = "hoist_masks: the acceptor's logits take constraint.automaton.0 before transform.top_p.0, which could leave it"
    assert [note for note in plan.notes if note.startswith(hoisted)]


def test_greedy_leaves_one_token_so_masks_go_before_it():
    plan = elaborate([VERIFIER, Temperature(value=0), ToyGrammar.over(3)])
    assert names(plan.accepted) == ["constraint.automaton.0", "transform.temperature.0"]


def test_masks_that_stand_first_stay():
    plan = elaborate([VERIFIER, ToyGrammar.over(3), TopP()])
    assert plan.accepted == plan.compose and not any("hoist" in note for note in plan.notes)


def test_mirror_follows_the_acceptors_order_and_can_be_switched_off():
    plan = elaborate([DRAFTER, VERIFIER, TopP(), Repetition(), ToyGrammar.over(3)])
    assert plan.mirrored == plan.accepted
    assert elaborate([ModelDrafter(model="d", mirror=False), VERIFIER, TopP()]).mirrored == ()


@pytest.mark.parametrize("rule, kept", [("auto", "kseq"), ("kseq", "kseq"), ("match", "match")])
def test_sink_accept_names_the_rule(rule, kept):
    assert elaborate([DRAFTER, ModelVerifier(model="t", rule=rule)]).rule == kept


def test_a_rule_that_does_not_fit_is_refused_with_the_one_that_does():
    with pytest.raises(PenstockError) as caught:
        elaborate([DRAFTER, ModelVerifier(model="t", rule="recursive")])
    assert "verifier.model.0, field rule: recursive is for without_replacement drafts" in str(caught.value)
    assert "drafter.model.0 drafts are iid" in str(caught.value) and "rule: kseq" in str(caught.value)


def test_two_drafters_are_refused_naming_both():
    with pytest.raises(PenstockError, match=r"drafter.model.0 and drafter.model.1 are both drafters"):
        elaborate([DRAFTER, DRAFTER, VERIFIER])


def test_two_verifiers_are_refused_naming_both():
    with pytest.raises(PenstockError, match=r"verifier.model.0 and verifier.model.1 are both scorers"):
        elaborate([VERIFIER, VERIFIER])


def test_a_reader_before_the_verifier_is_refused_naming_both():
    with pytest.raises(PenstockError, match=r"transform.temperature.0 reads Scored.*verifier.model.0"):
        elaborate([DRAFTER, Temperature(), VERIFIER])


class Program(Stage):
    kind: ClassVar[str] = "tests.program"
    role: ClassVar[Role] = "program"
    effect: ClassVar[Effect] = "steers"

    def run(self, runner, requests):
        """Never called."""


def test_a_stage_without_a_phase_is_refused_not_dropped():
    with pytest.raises(PenstockError, match=r"tests.program.0 is a program, which has no phase in a step"):
        elaborate([VERIFIER, Program()])


def test_a_model_that_cannot_do_what_a_stage_needs_is_refused():
    with pytest.raises(PenstockError, match=r"drafter.layerskip.0 needs a model with layers, and whole-only has none of it"):
        build(elaborate([LayerSkip(model="t", exit=1), VERIFIER]), {"t": StandIn("whole-only", 5, capabilities=TREE)})


@pytest.mark.parametrize("lacking", ["t", "draft:d"])
def test_drafts_in_a_view_that_takes_nothing_back_are_refused_naming_both(lacking):
    views = {"t": StandIn("t", 5, capabilities=TREE), "draft:d": StandIn("d", 5, capabilities=TREE)}
    views[lacking] = StandIn("one-way", 5)
    with pytest.raises(PenstockError, match=r"drafter.model.0 has one-way read tokens that may be taken back"):
        build(elaborate([DRAFTER, VERIFIER]), views)


def test_a_step_that_only_appends_takes_nothing_back():
    assert build(elaborate([VERIFIER]), {"t": StandIn("one-way", 5)}).nodes == 0


def test_a_pipeline_without_a_verifier_is_refused():
    with pytest.raises(PenstockError, match="needs a verifier"):
        elaborate([DRAFTER])
