"""What may be computed earlier, and what has to be computed before a node."""

import operator

import pytest
from torch import fx

from penstock.ir.ops.forward import catch_up, forward, keep
from penstock.ir.ops.logits import scale
from penstock.ir.ops.matching import allowed, matched
from penstock.ir.ops.random import race
from penstock.ir.ops.sequence import append, get, look, put
from penstock.passes.optimise.moving import ancestors, movable, span


@pytest.mark.parametrize("target", [scale, matched, allowed, get, look, operator.getitem, operator.and_], ids=str)
def test_what_leaves_every_handle_as_it_is_may_be_computed_earlier(target):
    assert movable(fx.Graph().call_function(target, ()))


@pytest.mark.parametrize("target", [put, keep, append, forward, catch_up, race], ids=str)
def test_what_moves_a_handle_on_or_draws_may_not(target):
    assert not movable(fx.Graph().call_function(target, ()))


def test_ancestors_are_those_among_the_given_in_order():
    graph = fx.Graph()
    x = graph.placeholder("x")
    a, b = graph.call_function(scale, (x, 1.0)), graph.call_function(scale, (x, 2.0))
    c = graph.call_function(operator.add, (b, a))
    other = graph.call_function(scale, (x, 3.0))
    d = graph.call_function(operator.add, (c, x))
    assert list(span(a, d)) == [a, b, c, other]
    assert ancestors(d, set(span(a, d))) == [a, b, c] and ancestors(d, {c, x}) == [x, c] and ancestors(d, {a}) == []
