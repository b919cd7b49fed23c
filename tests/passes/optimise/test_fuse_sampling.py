"""Walks read candidates; sites that are read one by one are narrowed by thresholds, which differ from site to site."""

import pytest
import torch
from chains import chain_graph
from torch import fx

from penstock.backends.eager.lower import lower
from penstock.backends.enumerate.certify import TOLERANCE, law_of, oracle_of, requests_of, step_of
from penstock.backends.enumerate.law import enumerate_law, total_variation
from penstock.ir.ops.candidates import spread_logits
from penstock.ir.ops.logits import scale, top_k, top_p
from penstock.ir.ops.threshold import min_p
from penstock.ir.show import show
from penstock.library import MinP, ModelDrafter, ModelVerifier, Repetition, StochasticBeam, Temperature, TopK, TopKTree, TopP
from penstock.passes.build import StepGraph
from penstock.passes.kinds import new_state
from penstock.passes.optimise.fuse_sampling import narrowed_site, nucleus_of_a_site
from penstock.passes.order import elaborate, optimised
from penstock.testing import small_world

V = 11


def site(*shapes):
    """The composition of one site of eleven logits."""
    graph = fx.Graph()
    x = graph.placeholder("x")
    x.meta["example"] = torch.randn(V, generator=torch.Generator().manual_seed(0))
    for shape, *more in shapes:
        made = graph.call_function(shape, (x, *more))
        made.meta["example"] = shape.meaning(x.meta["example"], *more)
        x = made
    graph.output((x,))
    narrowed_site(graph, V)
    return graph


def names(graph):
    return [node.target.name for node in graph.nodes if node.op == "call_function"]


THRESHOLDS = [((top_p, 0.7), "nucleus"), ((min_p, 0.1), "near_the_top"), ((top_k, torch.tensor(3.0)), "candidates")]


@pytest.mark.parametrize("shape, found", THRESHOLDS)
def test_a_threshold_makes_candidates(shape, found):
    assert names(site((scale, 0.8), shape)) == ["scale", found, "among", "spread_logits"]


def test_what_follows_works_on_them_and_narrows_further():
    graph = site((top_p, 0.9), (scale, 0.8), (min_p, 0.2))
    assert names(graph) == ["nucleus", "among", "scale", "near_the_top", "among", "among", "spread_logits"]


def test_near_miss_no_threshold_no_candidates():
    assert names(site((scale, 0.8))) == ["scale"]


def test_near_miss_candidates_are_not_made_again():
    graph = fx.Graph()
    x = graph.call_function(spread_logits, (None, None, V))
    assert nucleus_of_a_site.when(x, p=0.3) == "its logits are candidates' already"


@pytest.mark.parametrize("stages, sites", [((TopK(k=3),), "values"), ((TopP(p=0.9),), "composed"), ((), "composed")])
def test_the_step_says_how_its_walk_reads(stages, sites):
    graph, _ = optimised(chain_graph(*stages))
    walk = next(node for node in graph.nodes if node.name.startswith("walk"))
    assert sites in walk.target.data["given"] and ", site by site>" in show(graph)
    assert ", site by site>" not in show(optimised(chain_graph(*stages), ("fuse_sampling",))[0])


def test_near_miss_a_greedy_walk_draws_nothing():
    _, ran = optimised(chain_graph(Temperature(value=0)))
    assert [f.why for each in ran if each.name == "fuse_sampling" for f in each.findings] == ["it draws nothing"]


# --- proofs --------------------------------------------------------------------------------------------------------
CHAIN = (Repetition(alpha=1.4), Temperature(value=0.7), TopK(k=2), TopP(p=0.9), MinP(p=0.1))
PIPELINES = {
    "no draft": (ModelVerifier(model="t"), *CHAIN),
    "chain": (ModelDrafter(model="d", length=2), ModelVerifier(model="t"), *CHAIN),
    "block": (ModelDrafter(model="d", length=2), ModelVerifier(model="t", rule="block"), TopK(k=2)),
    "coupled": (ModelDrafter(model="d", length=2), ModelVerifier(model="t", rule="coupled"), TopK(k=2)),
    "ranked": (TopKTree(model="d", branching=(2, 1)), ModelVerifier(model="t"), TopK(k=2), TopP(p=0.9)),
    "beam": (StochasticBeam(model="d", width=2, length=2), ModelVerifier(model="t"), TopK(k=2)),
}


def narrowed_law(stages, world):
    """The law of the very graph that backends lower, enumerated."""
    plan = elaborate(stages)
    step = step_of(plan, world)
    graph, ran = optimised(step.graph)
    assert "its sites are candidates" in [finding.why for each in ran for finding in each.findings]
    narrowed = StepGraph(graph, step.handles, plan, step.nodes, step.eos)
    state = new_state(plan, requests_of(plan, world), world.models, range(7, 7 + world.rows), step.nodes)
    return enumerate_law(narrowed, state, group=world.rows)


@pytest.mark.parametrize("name", PIPELINES)
def test_what_is_narrowed_has_the_law_of_what_is_not_and_of_the_oracle(name):
    stages = PIPELINES[name]
    world = small_world(stages, batch=2)
    found, plan = narrowed_law(stages, world), elaborate(stages)
    assert total_variation(found.law, law_of(plan, world).law) <= TOLERANCE
    assert total_variation(found.law, oracle_of(plan, world)) <= TOLERANCE
    assert len(found.law) > 1


def test_the_host_composes_a_site_by_its_candidates():
    plan = elaborate(PIPELINES["chain"])
    text = lower(step_of(plan, small_world(PIPELINES["chain"]))).__doc__ or ""
    assert "spread_logits" not in text and "race_among" in text
