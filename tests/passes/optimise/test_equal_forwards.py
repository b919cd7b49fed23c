"""Views of one model on one prompt that are fed the same are fed once: which are, why others are not, that nothing changes."""

from typing import Any

import pytest
import torch

from penstock.backends.enumerate.certify import requests_of
from penstock.backends.enumerate.law import Enumerated, enumerate_law, total_variation
from penstock.dsl.pipeline import Pipeline, View
from penstock.face import check, compile
from penstock.ir.op import op
from penstock.ir.ops.forward import forward, keep
from penstock.ir.standin import StandIn
from penstock.library import (
    Ambedkar,
    Contrast,
    Del,
    EntropyAdaptive,
    Given,
    Guidance,
    HiddenThought,
    LastToken,
    ModelDrafter,
    ModelVerifier,
    PromptTokens,
    Temperature,
)
from penstock.passes.build import StepGraph, build
from penstock.passes.kinds import new_state
from penstock.passes.optimise import equal_forwards
from penstock.passes.optimise.equal_forwards import EQUAL_FORWARDS
from penstock.passes.optimise.optimisation import VERIFY, Finding, optimise
from penstock.passes.order import elaborate
from penstock.testing import small_world

MODELS = dict(t="table:7:1", same="table:7:1", d="table:7:2", deep="table:7:3:2")
CHAIN, TARGET, WARM = ModelDrafter(model="d", length=2), ModelVerifier(model="t"), Temperature(value=0.8)
LAST, OWN = View(model="t", prompt=LastToken()), View(model="t")
GUIDED = Guidance(model="t", view="a")
FAIR = Ambedkar(model="t", view="b", k=2, alpha=4.0, select="sample")
AFTER = FAIR.model_copy(update=dict(penalty="after"))
DEEP = Del(model="deep", exits=(1,), longest=2)
AGAIN = AFTER.model_copy(update=dict(view="a", fair="f"))


@pytest.fixture(autouse=True)
def verifying(monkeypatch):
    monkeypatch.setenv(VERIFY, "1")


def pipeline(*stages: Any, **views: View) -> Pipeline:
    return Pipeline(models=MODELS, views=views, stages=stages)


def united(step: StepGraph) -> list[Finding]:
    """Run the pass alone, on the graph itself."""
    (ran,) = optimise(step.graph, [EQUAL_FORWARDS])
    return list(ran.findings)


def count(step: StepGraph, target: Any) -> int:
    return sum(node.target is target for node in step.graph.nodes)


BOTH = dict(a=LAST, b=View(model="t", prompt=LastToken()))
SPECS = {
    "two stages on equal prompts": (pipeline(CHAIN, TARGET, GUIDED, FAIR, WARM, **BOTH), ["the view b is read from the view a"]),
    "the verifier's own prompt": (pipeline(CHAIN, TARGET, GUIDED, a=OWN), ["the view a is read from the view t"]),
    "two names of one model": (
        pipeline(CHAIN, TARGET, GUIDED, Contrast(model="same", view="c"), a=LAST, c=View(model="same", prompt=LastToken())),
        ["the view c is read from the view a"],
    ),
    "two pairs": (
        pipeline(CHAIN, TARGET, GUIDED, FAIR.model_copy(update=dict(fair="f")), f=OWN, **BOTH),
        ["the view f is read from the view t", "the view b is read from the view a"],
    ),
}


@pytest.mark.parametrize("made, why", SPECS.values(), ids=SPECS)
def test_a_view_is_read_from_its_equal(made, why):
    step = check(made)
    forwards, keeps = count(step, forward), count(step, keep)
    fired = [finding for finding in united(step) if finding.fired]
    assert [finding.why for finding in fired] == why
    assert keeps - count(step, keep) == len(why) <= forwards - count(step, forward)


# --- why not -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("made", "why"),
    [
        (pipeline(CHAIN, TARGET, GUIDED, FAIR, a=LAST, b=View(model="t", prompt=Given(text="3"))), None),
        (pipeline(CHAIN, TARGET, Guidance(model="d", view="a"), FAIR, a=View(model="d", prompt=LastToken()), b=LAST), None),
        (pipeline(CHAIN, TARGET, GUIDED, AFTER, **BOTH), "a step goes on with one 2 times and with the other 3 times"),
        (
            pipeline(CHAIN, TARGET, AFTER, AGAIN, a=LAST, b=LAST, f=OWN),
            "the forward of steer.ambedkar.1 asks something else than the forward of steer.ambedkar.0",
        ),
        (
            pipeline(ModelDrafter(model="t", length=1), TARGET),
            "the forward of verifier.model.0 asks something else than the forward of drafter.model.0",
        ),
        (
            pipeline(CHAIN, EntropyAdaptive(models=("t", "d"), window=2, d_min=1), GUIDED, a=OWN),
            "the forward of verifier.switched.0 is of some rows only",
        ),
        (
            pipeline(CHAIN, HiddenThought(model="t", helper="d", marker=1), GUIDED, a=OWN),
            "the inject of verifier.hcot.0 is of some rows only",
        ),
        (
            pipeline(DEEP, ModelVerifier(model="deep"), Guidance(model="deep", view="a"), a=View(model="deep")),
            "the catch_up of drafter.del.0 is of one of them alone",
        ),
        (
            pipeline(PromptTokens(view="t", candidates=((0,),), distances=1), TARGET, GUIDED, a=OWN),
            "the forward of steer.guidance.0 asks something else than the forward of verifier.model.0",
        ),
    ],
)
def test_it_says_why_it_did_not_fire(made, why):
    step = check(made)
    found = united(step)
    assert not any(finding.fired for finding in found)
    assert found == [] if why is None else why in [finding.why.partition(": ")[2] for finding in found]


def test_a_step_that_nothing_is_known_of_is_left_alone():
    step = build(elaborate((TARGET, GUIDED)), dict.fromkeys(("t", "a"), StandIn("m", 7)))
    assert united(step) == []


@op("host", borrows=1)
def peek(view: Any) -> Any:
    """Something that reads a view where it stands."""
    return view.cached.clone()


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_view_that_something_else_reads_is_fed(version):
    """As it was, as it is fed, as the step leaves it."""
    step = check(pipeline(TARGET, GUIDED, a=OWN))
    found = [node for node in step.graph.nodes if node.meta.get("type") == "View"]
    place = [found[1], *found[3::2]][version]
    with step.graph.inserting_after(place):
        read = step.graph.call_function(peek, (place,))
    read.meta |= dict(stage="tap", example=torch.zeros(7), type="f32[b]")
    (found,) = EQUAL_FORWARDS.run(step.graph)
    assert not found.fired and found.why.endswith("the peek of tap reads it")


def test_an_answer_that_is_not_there_yet_is_not_read():
    step = check(pipeline(TARGET, GUIDED, a=OWN))
    first, second = (node for node in step.graph.nodes if node.target is keep)
    for node in (*first.users, first):
        second.append(node)
    (found,) = EQUAL_FORWARDS.run(step.graph)
    assert not found.fired and found.why.endswith("the keep of state comes before the keep of state")


# --- that nothing changes ------------------------------------------------------------------------------------------
def enumerated(stages: Any, texts: dict[str, int], **prompts: Any) -> Enumerated:
    """With the views of equal numbers united."""
    plan, world = elaborate(stages), small_world(stages, batch=2, prompts=prompts)
    step = build(plan, {view: StandIn.of(model) for view, model in world.models.items()}, texts=texts)
    assert any(finding.fired for finding in united(step)) == (len(set(texts.values())) < len(texts))
    state = new_state(plan, requests_of(plan, world), world.models, range(7, 7 + world.rows), step.nodes)
    return enumerate_law(step, state, group=world.rows)


OTHER = [[2], [0, 1]]


@pytest.mark.parametrize("stages", [(CHAIN, TARGET, GUIDED, FAIR, WARM), (CHAIN, TARGET, GUIDED, FAIR)], ids=str)
def test_the_law_is_the_same_with_fewer_forwards(stages):
    one, other = (enumerated(stages, texts, a=OTHER, b=OTHER) for texts in ({}, dict(a=0, b=0)))
    assert total_variation(one.law, other.law) < 1e-12 and one.columns > other.columns


def test_views_that_only_seem_to_read_the_same_are_seen():
    """Planted: prompts that differ."""
    one, other = (enumerated((CHAIN, TARGET, GUIDED, FAIR), texts, a=OTHER, b=[[1], [1, 1]]) for texts in ({}, dict(a=0, b=0)))
    assert total_variation(one.law, other.law) > 1e-3


def test_nodes_that_only_seem_to_be_the_same_are_seen(monkeypatch):
    """Planted: the target answers for the root alone, as its drafter asked."""
    monkeypatch.setattr(equal_forwards, "unlike", lambda *lives: None)
    with pytest.raises(IndexError):
        enumerated((ModelDrafter(model="t", length=1), TARGET), {"t": 0, "draft:t": 0})


@pytest.mark.parametrize("made", [made for made, _ in SPECS.values()], ids=SPECS)
def test_the_same_tokens_are_decoded(made):
    prompts = ["5 3", "2", "6 0 4"]
    whole, without = (compile(made, without=names).generate(prompts) for names in ((), ("equal_forwards",)))
    assert [row.tokens for row in whole] == [row.tokens for row in without]
