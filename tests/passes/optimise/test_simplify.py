"""Constants that make a transform do nothing take it away; constants near them do not."""

import pytest
from chains import chain_graph, count

from penstock.dsl.param import param
from penstock.ir.standin import StandIn
from penstock.library import Epsilon, MinP, ModelDrafter, ModelVerifier, Repetition, Temperature, TopK, TopP
from penstock.passes.build import build
from penstock.passes.optimise.optimisation import optimise
from penstock.passes.optimise.simplify import SIMPLIFY
from penstock.passes.order import elaborate

NOTHING = {
    "scale": Temperature(value=1.0),
    "top_k": TopK(k=9),
    "top_p": TopP(p=1.0),
    "repetition_penalty": Repetition(alpha=1.0),
}
SOMETHING = {
    "scale": Temperature(value=1.0001),
    "top_k": TopK(k=8),
    "top_p": TopP(p=0.9999),
    "min_p": MinP(p=0.0001),
    "epsilon_cut": Epsilon(epsilon=0.0001),
    "repetition_penalty": Repetition(alpha=1.0001),
}
ASKED = {"scale": Temperature(value=param("t", default=1.0)), "top_p": TopP(p=param("p", default=1.0))}


def simplified(stage):
    graph = chain_graph(stage)
    (ran,) = optimise(graph, [SIMPLIFY])
    return graph, ran


@pytest.mark.parametrize("op", NOTHING)
def test_a_transform_that_does_nothing_goes(op):
    graph, ran = simplified(NOTHING[op])
    assert ran.modified and count(graph, op) == 0


@pytest.mark.parametrize("op", SOMETHING)
def test_near_miss_one_that_does_a_little_stays(op):
    graph, ran = simplified(SOMETHING[op])
    assert not ran.modified and count(graph, op) == 4  # three mirrored levels and the sites
    assert all(not finding.fired and finding.why for finding in ran.findings) and ran.findings


@pytest.mark.parametrize("op", ASKED)
def test_near_miss_one_that_a_request_may_set_stays(op):
    graph, ran = simplified(ASKED[op])
    assert not ran.modified and count(graph, op) > 0


@pytest.mark.parametrize("drafters", [(), (ModelDrafter(model="d", length=2, mirror=False),)])
def test_what_is_known_of_the_root_is_copied_only_where_a_path_may_end_elsewhere(drafters):
    views = {name: StandIn(name, 9, capabilities=frozenset({"tree"})) for name in ("t", "draft:d")}
    graph = build(elaborate([*drafters, ModelVerifier(model="t"), Repetition(alpha=1.3)]), views).graph
    copied = count(graph, "at")
    (ran,) = optimise(graph, [SIMPLIFY])
    assert [f.rule for f in ran.findings if f.fired] == ["the_only_site"] * (not drafters)
    assert count(graph, "at") == copied - (not drafters)


def test_what_fired_leads_back_to_the_line_it_was_declared_on():
    graph, ran = simplified(Temperature(value=0))
    fired = [finding for finding in ran.findings if finding.fired]
    assert {(f.rule, f.stage) for f in fired} == {("scaled_by_nothing", "transform.temperature.0")}
    made = [n for n in graph.nodes if n.meta.get("origin") == "scaled_by_nothing"]
    assert len(made) == 4 and all("test_simplify.py" in n.meta["source"] for n in made)
