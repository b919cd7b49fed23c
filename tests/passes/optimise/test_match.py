"""The matcher: literals, variables that stand twice, readers, reasons."""

from typing import Any

import pytest
from torch import fx

from penstock.ir.ops.logits import greedy, scale, softmax, top_k
from penstock.ir.ops.random import race
from penstock.passes.optimise.match import Match
from penstock.passes.optimise.rule import Equation, Logits, rule


@rule(literals={"t": (0.5,)}, alone=True)
def cold(x: Logits, t: float) -> Equation:
    """Two in a row."""
    return softmax(scale(x, t)), softmax(x)


@rule(literals={"stage": ("s",), "at": ((1, 2),)})
def raced(x: Logits, key: Any, stage: str, at: Any) -> Equation:
    """A draw for one purpose only."""
    return race(softmax(x), key, stage, "draft", at), greedy(x)


def chain(*ops):
    graph = fx.Graph()
    node = graph.placeholder("x")
    for op, *more in ops:
        node = graph.call_function(op, (node, *more))
    return graph, node


@pytest.mark.parametrize("t", [0.7, 2, 0])
def test_a_literal_is_any_constant(t):
    match = cold.pattern.try_at(chain((scale, t), (softmax,))[1])
    assert isinstance(match, Match) and match.values["t"] == t and match.values["x"].name == "x"
    assert [n.target for n in match.nodes] == [scale, softmax]


@pytest.mark.parametrize("t", [True, "cold", None])
def test_near_miss_another_kind_of_constant(t):
    assert isinstance(cold.pattern.try_at(chain((scale, t), (softmax,))[1]), str)


def test_near_miss_a_value_where_a_literal_stands():
    graph, _ = chain()
    t = graph.placeholder("t")
    node = graph.call_function(softmax, (graph.call_function(scale, (next(iter(graph.nodes)), t)),))
    assert cold.pattern.try_at(node) == "t stands where it needs a constant"


def test_near_miss_another_op_inside():
    assert cold.pattern.try_at(chain((top_k, 3), (softmax,))[1]) == "top_k stands where it needs scale"


def test_arguments_match_however_they_are_given():
    graph = fx.Graph()
    x = graph.placeholder("x")
    scaled = graph.call_function(scale, (), {"temperature": 0.7, "logits": x})
    match = cold.pattern.try_at(graph.call_function(softmax, (scaled,)))
    assert isinstance(match, Match) and match.values == {"x": x, "t": 0.7}


def test_another_reader_inside_is_told_where_it_matters():
    graph, node = chain((scale, 0.7), (softmax,))
    match = cold.pattern.try_at(node)
    assert isinstance(match, Match) and cold.reason(match) == ""
    graph.call_function(greedy, (node.args[0],))
    assert cold.reason(match) == "scale is read by greedy too"


def test_whoever_is_live_goes_along_and_words_must_be_equal():
    graph, node = chain((softmax,))
    key, live = graph.placeholder("key"), graph.placeholder("live")
    draw = graph.call_function(race, (node, key, "s.0", "draft", (key, 1)), {"live": live})
    match = raced.pattern.try_at(draw)
    assert isinstance(match, Match) and match.values["live"] is live and match.values["at"] == (key, 1)
    other = graph.call_function(race, (node, key, "s.0", "select", (key, 1)), {"live": live})
    assert raced.pattern.try_at(other) == "'select' stands where it needs 'draft'"
