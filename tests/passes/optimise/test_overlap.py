"""Host ops begin before the forwards that they do not wait for: which do, why others do not, and that nothing changes."""

from typing import Any, ClassVar

import pytest
from jaxtyping import Float
from torch import Tensor

from penstock.backends.eager import ahead
from penstock.backends.enumerate.certify import requests_of, step_of
from penstock.backends.enumerate.law import Enumerated, enumerate_law, total_variation
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.show import show
from penstock.library import Forced, Guidance, ModelDrafter, ModelVerifier, PromptLookup, Regex, Repetition, Temperature
from penstock.library.constraints.letters import Letters
from penstock.passes.build import StepGraph
from penstock.passes.dead_code import dead_code
from penstock.passes.kinds import new_state
from penstock.passes.optimise.optimisation import VERIFY, Ran, optimise
from penstock.passes.optimise.overlap import OVERLAP
from penstock.passes.order import elaborate
from penstock.testing import decode_stages, small_world

pytest.importorskip("llguidance")

V = 4
GRAMMAR = Regex(pattern="1*21?|1").small(V)
TARGET, WARM = ModelVerifier(model="t"), Temperature(value=0.8)
CHAIN, FREE = ModelDrafter(model="d", length=2), ModelDrafter(model="d", length=2, mirror=False)
TREE = ModelDrafter(model="d", length=2, paths=2)


@pytest.fixture(autouse=True)
def verifying(monkeypatch):
    monkeypatch.setenv(VERIFY, "1")


def overlapped(step: StepGraph) -> Ran:
    dead_code(step.graph)
    (ran,) = optimise(step.graph, [OVERLAP])
    return ran


def traced(*stages: Any) -> StepGraph:
    return step_of(elaborate(stages), small_world(stages, vocab=V, eos=(V - 1,)))


BEGUN = "begun forward awaited".split()


@pytest.mark.parametrize(
    ("stages", "order"),
    [
        ((TARGET, GRAMMAR), BEGUN),
        ((FREE, TARGET, GRAMMAR), ["forward"] * 2 + BEGUN),  # of the draft's sites only the target reads masks
        ((CHAIN, TARGET, WARM, GRAMMAR), BEGUN * 3),
        ((TREE, TARGET, GRAMMAR, Repetition(alpha=1.3)), BEGUN * 3),
    ],
    ids=str,
)
def test_every_mask_begins_right_before_a_forward(stages, order):
    step = traced(*stages)
    found = overlapped(step).findings
    assert [finding.fired for finding in found] == [True] * order.count("begun")
    names = [getattr(node.target, "name", "") for node in step.graph.nodes]
    assert [name for name in names if name in BEGUN] == order
    assert found[-1].why == "it begins before the forward of verifier.model.0"


def test_the_first_forward_that_it_need_not_wait_for():
    """The unconditional branch is fed after the target; masks run beside both."""
    step = traced(TARGET, Guidance(model="g", view="g2"), GRAMMAR)
    assert overlapped(step).findings[0].why == "it begins before the forward of verifier.model.0"


# --- why not -------------------------------------------------------------------------------------------------------
@op("host")
def reading(logits: Float[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
    """Host work on what a forward answered."""
    return logits * 2


class Reading(Temperature):
    """A transform on the host."""

    kind: ClassVar[str] = "transform.reading"

    def transform(self, logits: Any) -> Any:
        return reading(logits)


def test_work_on_what_a_forward_answered_waits_for_it():
    step = traced(TARGET, Reading())
    dead_code(step.graph)
    before = show(step.graph)
    (finding,) = overlapped(step).findings
    assert not finding.fired and finding.why == "it waits for the forward of verifier.model.0"
    assert show(step.graph) == before


def test_work_whose_entries_are_not_apart_stays_whole():
    step = traced(Forced(length=2), TARGET, GRAMMAR)
    found = {finding.stage: finding for finding in overlapped(step).findings}
    assert found["drafter.forced.0"].why == "its result has no entries of their own" and not found["drafter.forced.0"].fired
    assert found["constraint.regex.0"].fired


# --- that nothing changes ------------------------------------------------------------------------------------------
def enumerated(stages: Any, overlap: bool) -> Enumerated:
    plan, world = elaborate(stages), small_world(stages, vocab=V, eos=(V - 1,), batch=2)
    step = step_of(plan, world)
    assert not overlap or overlapped(step).modified
    state = new_state(plan, requests_of(plan, world), world.models, range(7, 7 + world.rows), step.nodes)
    return enumerate_law(step, state, group=world.rows)


@pytest.mark.parametrize("stages", [(TARGET, GRAMMAR), (CHAIN, TARGET, WARM, GRAMMAR), (TREE, TARGET, GRAMMAR)])
def test_the_law_is_the_same(stages):
    one, other = (enumerated(stages, overlap) for overlap in (False, True))
    assert total_variation(one.law, other.law) == 0 and one.columns == other.columns


@pytest.mark.parametrize("drafter", [(), (CHAIN,), (FREE,), (TREE,), (PromptLookup(length=3),), (Forced(length=2),)], ids=str)
@pytest.mark.parametrize("worth", [0.0, 1e9])
def test_tokens_are_the_same_with_a_thread_without_one_and_without_the_pass(drafter, worth, monkeypatch):
    monkeypatch.setattr(ahead, "WORTH", worth)
    stages = (*drafter, TARGET, WARM, GRAMMAR)
    asked = dict(keys=[5, 11, 17, 23], vocab=V, eos=(V - 1,), limit=6)
    assert decode_stages(stages, **asked) == decode_stages(stages, **asked, without=["overlap"])


@pytest.mark.parametrize("worth", [0.0, 1e9])
@pytest.mark.parametrize("without", [(), ("overlap",)])
def test_an_error_names_stage_field_and_place_whoever_makes_the_mask(worth, without, monkeypatch):
    monkeypatch.setattr(ahead, "WORTH", worth)
    stages = CHAIN, TARGET, Regex(pattern="1a").knowing(Letters(V))
    with pytest.raises(PenstockError, match="stage constraint.regex, field pattern: no token spells what") as error:
        decode_stages(stages, keys=[5], vocab=V, eos=(V - 1,), limit=6, without=without)
    assert "test_overlap.py" in str(error.value.where)
