"""What a step makes anew, told from its graph: registers, and distributions where a rule reads them."""

from typing import Any

import pytest

from penstock.backends.enumerate.certify import step_of
from penstock.library import (
    EntropyGate,
    ModelDrafter,
    ModelVerifier,
    PromptTokens,
    Repetition,
    StochasticBeam,
    Temperature,
    TopKTree,
)
from penstock.passes.optimise.made_anew import made_anew
from penstock.passes.order import elaborate, optimised
from penstock.testing import small_world

TARGET, CHAIN = ModelVerifier(model="t"), ModelDrafter(model="d", length=2)
PENALTY = Repetition(alpha=1.3)
PROBED = PromptTokens(view="t", candidates=((0,), (0, 0)), distances=2)
WALK = "the draft's distributions are made anew, f32[b,{},{}]: the walk reads those of every level"
TAKES = "the register {} takes what the {} of {} made, {}"
SAID = TAKES.format("transform_repetition_0", "advance", "state", "bool[b,5]")
PROBES = (("k", "i64[b]"), ("probes", "f32[b,2,v]"))


@pytest.mark.parametrize(
    ("stages", "why"),
    [
        ((TARGET,), []),
        ((CHAIN, TARGET), [WALK.format(2, "v")]),
        ((ModelDrafter(model="d", length=2, paths=3), TARGET), [WALK.format(6, "v")]),
        ((StochasticBeam(model="d", width=2, length=2), TARGET), [WALK.format(4, "v")]),
        ((CHAIN, TARGET, Temperature(value=0)), []),  # an argmax a site
        ((TopKTree(model="d", branching=(2, 1)), TARGET), []),  # whatever is drafted, the target is asked
        ((CHAIN, TARGET, PENALTY), [WALK.format(2, "v"), SAID]),
        ((PROBED, TARGET), [TAKES.format(f"ppd_{name}", "at", "state", kind) for name, kind in PROBES]),
    ],
    ids=str,
)
def test_it_is_told_what_is_made_how_large_and_what_for(stages, why):
    assert found(*stages) == why


def test_a_register_of_several_tensors_tells_all():
    (told,) = found(TARGET, EntropyGate(tau=1.0, window=2, d_min=1))
    assert told.startswith(TAKES.format("gate_entropy_0", "advance", "state", "")) and told.count("[b") > 1


def found(*stages: Any) -> list[str]:
    """After all optimisations, by the last of which it is told."""
    graph, ran = optimised(step_of(elaborate(stages), small_world(stages, vocab=5)).graph)
    told = [finding.why for finding in ran[-1].findings if finding.rule == "in_place"]
    assert told == [finding.why for finding in made_anew(graph)]
    return told
