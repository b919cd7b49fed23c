"""Forwards of one model that do not wait for each other are one call: which are, why others are not, and that nothing changes."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tiny_models import VOCAB, tiny_model

from penstock.backends.eager.lower import lower
from penstock.backends.enumerate.certify import requests_of, step_of
from penstock.backends.enumerate.law import Enumerated, enumerate_law, total_variation
from penstock.backends.enumerate.scratch import WrongForward
from penstock.backends.runtime.hf import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request, forwards
from penstock.backends.runtime.table import TableModel
from penstock.dsl.pipeline import Pipeline, View
from penstock.face import check, compile
from penstock.ir.op import op
from penstock.ir.ops import stacked
from penstock.ir.ops.forward import forward
from penstock.ir.standin import StandIn
from penstock.library import (
    Ambedkar,
    Contrast,
    EntropyAdaptive,
    EntropyGate,
    Guidance,
    LastToken,
    ModelDrafter,
    ModelVerifier,
    PromptTokens,
    Repetition,
    Temperature,
)
from penstock.passes.build import StepGraph, build
from penstock.passes.dead_code import dead_code
from penstock.passes.kinds import new_state
from penstock.passes.optimise.optimisation import VERIFY, Finding, optimise
from penstock.passes.optimise.share_forwards import SHARE_FORWARDS
from penstock.passes.order import elaborate
from penstock.testing import small_world, views_of

CHAIN, TREE = ModelDrafter(model="d", length=2), ModelDrafter(model="d", length=2, paths=2)
TARGET, WARM = ModelVerifier(model="t"), Temperature(value=0.8)
GUIDED = Guidance(model="t", view="un")
LOCAL = Ambedkar(model="t", view="swapped", k=2, alpha=8.0, select="sample")
AFTER = LOCAL.model_copy(update=dict(penalty="after", alpha=4.0))
PROMPTED = dict(prompted=["swapped", "un"])
GATE = EntropyGate(tau=1.0, window=2, d_min=1)


@pytest.fixture(autouse=True)
def verifying(monkeypatch):
    monkeypatch.setenv(VERIFY, "1")


def shared(step: StepGraph) -> Sequence[Finding]:
    """Run the pass alone, on the graph itself."""
    dead_code(step.graph)
    (ran,) = optimise(step.graph, [SHARE_FORWARDS])
    return ran.findings


def traced(stages: Any, **small: Any) -> StepGraph:
    return step_of(elaborate(stages), small_world(stages, **PROMPTED, **small))


def sizes(step: StepGraph) -> list[int]:
    """How many views each call serves, in order."""
    calls = {forward, *stacked.STACKED.values()}
    return [node.target.consumes for node in step.graph.nodes if node.target in calls]


@pytest.mark.parametrize(
    ("stages", "calls"),
    [
        ((TARGET, GUIDED), [2]),
        ((CHAIN, TARGET, GUIDED, WARM), [1, 1, 2]),
        ((TREE, TARGET, GATE, LOCAL, Repetition(alpha=1.3)), [1, 1, 2]),  # a gate, a bias verifier and the verifier
        ((CHAIN, TARGET, AFTER), [1, 1, 2, 2]),  # what is scored once more, too
        ((TREE, TARGET, LOCAL, GUIDED), [1, 1, 3]),
        ((CHAIN, TARGET, Ambedkar(model="v", view="swapped", k=2)), [1, 1, 1, 2]),  # its own two branches
        ((CHAIN, TARGET, WARM), [1, 1, 1]),
    ],
    ids=str,
)
def test_it_fires_on_every_pipeline_that_reads_a_model_in_several_views(stages, calls):
    step = traced(stages)
    found = shared(step)
    assert sizes(step) == calls
    assert sum(finding.fired for finding in found) == sum(n - 1 for n in calls)


# --- why not -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stages", "why"),
    [
        ((ModelDrafter(model="t", length=2), TARGET), r"it waits for the forward of drafter.model.0"),
        ((ModelDrafter(model="t", length=1), TARGET), r"it waits for the forward of drafter.model.0"),
        ((EntropyAdaptive(models=("t", "v"), window=2, d_min=1), GUIDED), r"it is of some rows only, in scored_by_0"),
        ((PromptTokens(view="t", candidates=((0,),), distances=1), TARGET, GUIDED), r"the forward of verifier.* says embeds"),
        ((CHAIN, TARGET), r"nothing else asks table:3:2"),
    ],
)
def test_it_says_why_it_did_not_fire(stages, why):
    step = traced(stages)
    before = sizes(step)
    reasons = [finding.why for finding in shared(step) if not finding.fired]
    assert sizes(step) == before and any(re.search(why, reason) for reason in reasons), reasons


def test_a_model_that_cannot_tell_parts_apart_is_called_for_each_view():
    stages = TARGET, GUIDED
    odd = StandIn("odd", 3, capabilities=frozenset({"tree", "chunk"}))
    step = build(elaborate(stages), dict.fromkeys(views_of(stages), odd))
    assert [finding.why for finding in shared(step)] == ["odd cannot tell the parts of a call apart"]


def test_one_call_serves_so_many_views():
    stages = TARGET, *(Guidance(model="t", view=f"un{i}") for i in range(stacked.MOST))
    step = step_of(elaborate(stages), small_world(stages))
    reasons = [finding.why for finding in shared(step) if not finding.fired]
    assert sizes(step) == [stacked.MOST, 1] and reasons == ["one call serves 4 views"]


@op("host", borrows=2)
def peek(view: Any, seq: Any) -> Any:
    """Something that reads a view where it stands."""
    return view.cached.clone()


def test_a_view_that_is_read_before_its_forward_is_not_fed_sooner():
    step = traced((TARGET, GUIDED))
    first, second = (node for node in step.graph.nodes if node.target is forward)
    with step.graph.inserting_before(second):
        read = step.graph.call_function(peek, second.args[:2])
    read.meta |= dict(stage="tap", example=torch.zeros(7), type="f32[b]")
    found = SHARE_FORWARDS.run(step.graph)
    assert [finding.why for finding in found][0] == "the peek of tap reads its view before"
    assert first.next is not second and sizes(step) == [1, 1]


# --- that nothing changes ------------------------------------------------------------------------------------------
def enumerated(stages: Any, *, share: bool, **small: Any) -> Enumerated:
    plan, world = elaborate(stages), small_world(stages, **PROMPTED, **small)
    step = step_of(plan, world)
    assert not share or any(finding.fired for finding in shared(step))
    state = new_state(plan, requests_of(plan, world), world.models, range(7, 7 + world.rows), step.nodes)
    return enumerate_law(step, state, group=world.rows)


@pytest.mark.parametrize("stages", [(CHAIN, TARGET, GUIDED, WARM), (TREE, TARGET, AFTER), (CHAIN, TARGET, LOCAL, GUIDED)])
def test_the_law_is_the_same_and_every_forward_one_from_scratch(stages):
    one, other = (enumerated(stages, share=share, batch=2, layers={"t": 2}) for share in (False, True))
    assert total_variation(one.law, other.law) < 1e-12
    assert one.columns == other.columns and one.coverage.keys() == other.coverage.keys()


def test_answers_that_change_places_are_seen(monkeypatch):
    """Planted: every view gets the next one's logits."""
    right = stacked.place_of
    monkeypatch.setattr(stacked, "place_of", lambda part, i, n: right((part + 1) % n if i else part, i, n))
    with pytest.raises(WrongForward, match="a forward is .* from one from scratch"):
        enumerated((CHAIN, TARGET, GUIDED), share=True)


class Counted(HuggingFaceModel):
    """Says which calls were made of it: how many views each was for."""

    calls: list[int]

    def forward(self, cache: Any, feed: Any) -> Any:
        self.__dict__.setdefault("calls", []).append(1)
        return super().forward(cache, feed)

    def forward_stacked(self, caches: Any, feeds: Any) -> Any:
        self.__dict__.setdefault("calls", []).append(len(caches))
        return super().forward_stacked(caches, feeds)


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    target = Counted(tiny_model("llama"), "t")
    return dict(t=target, swapped=target, un=target) | {"draft:d": TableModel(VOCAB, 3)}


PROMPTS = dict(t=[[1, 2, 3], [5], [9, 8]], swapped=[[4, 4], [5, 6, 7, 8], [9]], un=[[3], [5], [8]])


def decoded(stages: Any, models: dict[str, Any], *, share: bool, limit: int = 12) -> tuple[list[Any], list[Any], list[int]]:
    """What the rows decode, what it cost them, and the calls that the target's model was made after the first step."""
    views = views_of(stages)
    bound = {view: models[view] for view in views}
    step = build(elaborate(stages), {view: StandIn.of(model) for view, model in bound.items()})
    assert not share or any(finding.fired for finding in shared(step))
    rows = [{view: PROMPTS.get(view, PROMPTS["t"])[b] for view in bound} for b in range(3)]
    decoder = Decoder(step, bound, lower(step, without=() if share else ["share_forwards"]))
    state = decoder.start([Request(row, limit + 2 * b, key=b) for b, row in enumerate(rows)])
    models["t"].calls = []
    state = decoder.generate(state)
    return decoder.read(state), forwards(state), models["t"].calls


@pytest.mark.parametrize(
    "stages", [(CHAIN, TARGET, GUIDED, WARM), (TREE, TARGET, LOCAL, GUIDED), (TARGET, AFTER), (TREE, TARGET, AFTER)]
)
def test_rows_decode_the_same_tokens_in_half_the_calls(stages, models):
    apart, cost, many = decoded(stages, models, share=False)
    together, same_cost, few = decoded(stages, models, share=True)
    assert together == apart and cost == same_cost
    assert set(many) == {1} and sum(few) == len(many) and set(few[1:]) == {len(models_of(stages))}


def models_of(stages: Any) -> list[str]:
    return [view for view, model in views_of(stages).items() if model == "t"]


def test_parts_of_very_unequal_width_are_called_apart(models, monkeypatch):
    monkeypatch.setitem(PROMPTS, "un", [[3] * 40, [5], [8]])
    stages = CHAIN, TARGET, GUIDED
    apart, _, _ = decoded(stages, models, share=False)
    together, _, calls = decoded(stages, models, share=True)
    assert together == apart and calls[:2] == [1, 1] and set(calls[2:]) == {2}


def test_a_view_with_vectors_of_its_own_is_called_apart(models):
    """What no table knows is left to the meaning, one view after another."""
    stages = TARGET, GUIDED
    step = build(elaborate(stages), {view: StandIn.of(models[view]) for view in views_of(stages)})
    shared(step)
    bound = {view: models[view] for view in views_of(stages)}
    decoder = Decoder(step, bound, lower(step))
    state = decoder.start([Request({view: PROMPTS[view][0] for view in bound}, 6, key=0)])
    state["view:un"].allow_overrides(20)
    models["t"].calls = []
    found = decoder.read(decoder.generate(state))
    assert set(models["t"].calls) == {1} and found[0].tokens == decoded(stages, models, share=False, limit=6)[0][0].tokens


def test_two_names_of_one_reference_are_one_model():
    """Else what looks like one model while the step is traced would be loaded twice, and never be one call."""
    models = dict(target="table:7:1", judge="table:7:1", other="table:7:2")
    stages = ModelVerifier(model="target"), Guidance(model="judge", view="un"), Contrast(model="other")
    pipeline = Pipeline(models=models, views={"un": View(model="judge", prompt=LastToken())}, stages=stages)
    loaded = compile(pipeline).loaded.models
    assert loaded["target"] is loaded["judge"] is not loaded["other"]
    assert "forward_stacked" in (lower(check(pipeline)).__doc__ or "")
