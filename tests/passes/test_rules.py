"""Rules on graphs: that they fire, how often, and the nearest graphs on which they must not."""

import pytest

from penstock.dsl.param import param
from penstock.ir.op import Op
from penstock.ir.show import show
from penstock.ir.standin import StandIn
from penstock.library import ModelDrafter, ModelVerifier, Repetition, Temperature, ToyGrammar
from penstock.passes.build import build
from penstock.passes.dead_code import dead_code
from penstock.passes.greedy_selection import greedy_selection
from penstock.passes.lint import linear
from penstock.passes.order import elaborate

CHAIN = (ModelDrafter(model="d", length=3), ModelVerifier(model="t"))
VIEWS = {view: StandIn(view, 9, capabilities=frozenset({"tree"})) for view in ("t", "draft:d")}


def graph_of(*stages):
    return build(elaborate((*CHAIN, *stages)), VIEWS).graph


def count(graph, name):
    return sum(isinstance(n.target, Op) and n.target.name == name for n in graph.nodes)


GREEDY = [(Temperature(value=0),), (Temperature(value=0.0),), (ToyGrammar.over(9), Temperature(value=0))]


@pytest.mark.parametrize("stages", GREEDY)
def test_greedy_draws_and_walk_become_argmaxes(stages):
    graph = graph_of(*stages)
    assert greedy_selection(graph) == 3 + 1  # three drafts and the walk
    assert greedy_selection(graph) == 0
    dead_code(graph)
    linear(graph)
    assert count(graph, "race") == 0 and count(graph, "largest") == 3


@pytest.mark.parametrize(
    "stages",
    [
        (Temperature(value=0.01),),
        (Temperature(value=param("t", default=0)),),  # a request may ask for another
        (Temperature(value=0), Repetition()),  # something reads the one-hot logits
        (),
    ],
)
def test_greedy_selection_leaves_what_is_not_constantly_greedy(stages):
    graph = graph_of(*stages)
    assert greedy_selection(graph) == 0 and count(graph, "race") == 3


def test_dead_code_drops_what_nobody_reads_and_keeps_every_state_op():
    graph = graph_of(Temperature(value=0.8))
    before = {name: count(graph, name) for name in ("forward", "keep", "append", "look", "race")}
    assert dead_code(graph) > 0
    assert dead_code(graph) == 0
    assert {name: count(graph, name) for name in before} == before
    linear(graph)


def test_a_dropped_path_state_takes_its_reads_with_it():
    text = show(graph_of(Temperature(value=0.8)))
    assert "at(" in text  # the last token, which only automata read
    graph = graph_of(Temperature(value=0.8))
    dead_code(graph)
    assert "at(" not in show(graph).replace("repeated(", "")
