"""Once top-k is in the chain, k candidates a site; and the nearest steps, which stay whole."""

import pytest
from chains import VIEWS, chain_graph, count

from penstock.dsl.param import param
from penstock.ir.region import Region
from penstock.ir.show import show
from penstock.library import Bias, ModelDrafter, ModelVerifier, Presence, Repetition, Temperature, TopK, TopP
from penstock.passes.build import build
from penstock.passes.order import elaborate, optimised


def both(*stages, without=()):
    """The graph after all passes, and the findings of `narrow`."""
    graph, ran = optimised(chain_graph(*stages), without)
    return graph, {f.rule: f for each in ran if each.name == "narrow" for f in each.findings}


def walk_of(graph):
    return next(n.target for n in graph.nodes if isinstance(n.target, Region) and n.target.data["label"] == "walk")


def test_drafts_and_selections_are_drawn_among_candidates():
    graph, found = both(Temperature(value=0.8), TopK(k=3), TopP(p=0.9))
    assert count(graph, "top_k") == 0 and count(graph, "race") == 0 and count(graph, "race_among") == 3
    assert found["top_p_of_candidates"].fired and found["race_among_candidates"].fired
    assert all(n.meta["example"].shape[-1] == 3 for n in graph.nodes if getattr(n.target, "name", "") == "top_p")
    assert walk_of(graph).data["given"][:2] == ("values", "ids")


def test_the_walk_itself_works_on_candidates():
    stages = ModelVerifier(model="t"), TopK(k=3)
    graph, _ = optimised(build(elaborate(stages), {"t": VIEWS["t"]}).graph)
    text = show(walk_of(graph).graph)
    assert "race_among" in text and "f32[b,v]" not in text


CHAINS = {
    "penalised_and_scaled_top_k": (Repetition(alpha=1.3), Temperature(value=0.8)),
    "scaled_top_k": (Presence(alpha=0.5), Temperature(value=0.8)),
    "penalised_top_k": (Temperature(value=param("t", default=0.8)), Repetition(alpha=1.3)),
    "top_k_is_candidates": (Presence(alpha=0.5),),
}


@pytest.mark.parametrize("name", CHAINS)
def test_what_stands_before_top_k_shapes_candidates_alone_where_it_can(name):
    graph, found = both(*CHAINS[name], TopK(k=3))
    assert [rule for rule in CHAINS if rule in found and found[rule].fired] == [name]
    assert count(graph, "candidates" if name == "top_k_is_candidates" else "shaped_candidates") == 4
    shaped = [n for n in graph.nodes if getattr(n.target, "name", "") == "repetition_penalty"]
    assert all(n.meta["example"].shape[-1] == 3 for n in shaped)


def test_what_only_moved_leads_back_to_its_own_stage():
    graph, _ = both(TopK(k=3), Repetition(alpha=1.3))
    moved = {n.target.name: n.meta["stage"] for n in graph.nodes if n.meta.get("origin") == "penalised_candidates"}
    assert moved["repetition_penalty"] == "transform.repetition.0"
    graph, _ = both(Repetition(alpha=1.3), Temperature(value=0.8), TopK(k=3))
    made = [n for n in graph.nodes if n.meta.get("origin") == "penalised_and_scaled_top_k"]
    assert {n.meta["stage"] for n in made} == {"transform.top_k.0"}


def test_a_version_of_the_sites_that_somebody_else_reads_stays():
    """The coins of speculative sampling are thrown against the whole distribution that a draft was drawn from."""
    graph, _ = both(TopK(k=3))
    assert count(graph, "spread_chances") == 3


WHOLE = (
    (Temperature(value=0.8),),
    (TopP(p=0.9),),
    (TopK(k=param("k", default=3)),),
    (TopK(k=9),),
    (TopK(k=3), Temperature(value=0)),
)


@pytest.mark.parametrize("stages", WHOLE)
def test_near_miss_nothing_that_leaves_a_number_of_tokens_known_now(stages):
    graph, found = both(*stages)
    assert count(graph, "candidates") == 0 and not any(f.fired for f in found.values())


def test_near_miss_a_k_that_keeps_all_says_so():
    _, found = both(TopK(k=9), without=("simplify",))
    assert found["top_k_is_candidates"].why == "it keeps 9 of 9 tokens"


def test_a_second_top_k_is_of_the_candidates():
    graph, found = both(TopK(k=5), Repetition(alpha=1.3), TopK(k=3))
    assert found["top_k_of_candidates"].fired and found["penalised_candidates"].fired
    assert not any(f.rule == "top_k_is_candidates" and f.fired and f.node.name == "top_k_1" for f in found.values())


def test_near_miss_an_op_that_names_tokens_reads_the_row():
    graph, _ = both(TopK(k=3), Bias(tokens=((2, 1.5),)))
    assert count(graph, "spread_logits") == 4 and count(graph, "race") == 3
    assert walk_of(graph).data["given"][0] == "composed"


def test_switched_off_nothing_is_narrowed():
    graph, _ = both(TopK(k=3), without=("narrow",))
    assert count(graph, "top_k") == 4 and count(graph, "race") == 3
    assert walk_of(graph).data["given"][0] == "composed"


def test_a_draft_without_mirror_stays_whole():
    stages = (ModelDrafter(model="d", length=2, mirror=False), ModelVerifier(model="t"), TopK(k=3))
    graph, _ = optimised(build(elaborate(stages), VIEWS).graph)
    assert count(graph, "race") == 2 and count(graph, "candidates") == 1
