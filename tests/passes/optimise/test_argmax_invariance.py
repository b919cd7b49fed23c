"""At constant temperature 0 nothing is drawn; and the nearest steps, at which something still is."""

import pytest
from chains import VIEWS, chain_graph, count
from torch import fx

from penstock.dsl.param import param
from penstock.ir.ops.logits import scale, top_ids, top_k
from penstock.ir.region import Region
from penstock.library import MinP, ModelVerifier, Repetition, Temperature, TopK, TopKTree, TopP, ToyGrammar, TypicalP
from penstock.passes.build import build
from penstock.passes.optimise.argmax_invariance import tempered_ranking
from penstock.passes.order import elaborate, optimised

SHRINKING = (TopK(k=3), TopP(p=0.9), MinP(p=0.1))


def both(*stages):
    """The graph after all passes, and how often each rule fired."""
    graph, ran = optimised(chain_graph(*stages))
    fired = [finding.rule for each in ran for finding in each.findings if finding.fired]
    return graph, {name: fired.count(name) for name in fired}


def walk_of(graph):
    return next(n.target for n in graph.nodes if isinstance(n.target, Region) and n.target.data["label"] == "walk")


@pytest.mark.parametrize(
    "stages", [(Temperature(value=0),), (Temperature(value=0.0),), (ToyGrammar.over(9), Temperature(value=0))]
)
def test_greedy_draws_and_walk_become_argmaxes(stages):
    graph, fired = both(*stages)
    assert fired["certain_race"] == 3 and fired["greedy_walk"] == 1
    assert count(graph, "race") == 0 and count(graph, "largest") == 3 and walk_of(graph).data["greedy"]


@pytest.mark.parametrize("shrinking", SHRINKING, ids=lambda stage: stage.kind)
def test_what_never_cuts_the_likeliest_goes_before_temperature_zero_and_after_it(shrinking):
    op = shrinking.kind.removeprefix("transform.")
    for stages in ((shrinking, Temperature(value=0)), (Temperature(value=0), shrinking)):
        graph, fired = both(*stages)
        assert count(graph, op) == 0 and count(graph, "race") == 0, stages
        assert fired["greedy_walk"] == 1


@pytest.mark.parametrize(
    "stages",
    [
        (Temperature(value=0.01),),
        (Temperature(value=param("t", default=0)),),  # a request may ask for another
        (Temperature(value=0), Repetition()),  # something reads the one-hot logits
        (TypicalP(p=0.5), Temperature(value=0.5)),
        (),
    ],
)
def test_near_miss_what_is_not_constantly_greedy(stages):
    graph, fired = both(*stages)
    assert count(graph, "race") == 3 and "greedy_walk" not in fired and "certain_race" not in fired


def test_near_miss_a_penalty_or_typical_p_may_move_the_argmax():
    graph, _ = both(Repetition(), TypicalP(p=0.5), Temperature(value=0))
    assert count(graph, "repetition_penalty") > 0 and count(graph, "typical_p") > 0


def test_near_miss_a_top_k_that_a_request_sets():
    graph, _ = both(TopK(k=param("k", default=3)), Temperature(value=0))
    assert count(graph, "top_k") > 0


def tree(temperature):
    stages = (TopKTree(model="d", branching=(2, 1)), ModelVerifier(model="t"), Temperature(value=temperature))
    return optimised(build(elaborate(stages), VIEWS).graph)[0]


@pytest.mark.parametrize("temperature", [0, 0.7, 4.0])
def test_a_ranking_reads_the_logits_alone(temperature):
    ranked = [n for n in tree(temperature).nodes if getattr(n.target, "name", "") == "top_ids"]
    assert len(ranked) == 2 and all(n.args[1] is None for n in ranked)


def test_near_miss_the_temperature_of_other_logits():
    graph = fx.Graph()
    logits = graph.placeholder("logits")
    shaped = graph.call_function(scale, (graph.call_function(top_k, (logits, 3)), 0.7))
    assert tempered_ranking.pattern.try_at(graph.call_function(top_ids, (logits, shaped, 3))) == (
        "top_k is not the same x as logits"
    )
