"""A ranking by tempered logits is the ranking by the logits: also at 0, and where scaling makes ties of near ones."""

import pytest
import torch
from torch import fx

from penstock.ir.op import op
from penstock.ir.ops.logits import scale, top_ids
from penstock.passes.same_ranking import same_ranking


@op()
def subtract(logits, amount):
    """``logits - amount``."""
    return logits - amount


def graph_of(shape, *more):
    graph = fx.Graph()
    logits = graph.placeholder("logits")
    first = graph.call_function(shape, (logits, *more))
    graph.output((graph.call_function(top_ids, (logits, first, 3)),))
    return graph


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 4.0, 1e30])
@pytest.mark.parametrize("step", [0.0, 0.5])
def test_both_sides_are_equal(t, step):
    x = torch.randn(2, 3, 40, generator=torch.Generator().manual_seed(0))
    x = (x / step).round() * step if step else x
    assert torch.equal(top_ids(x, scale(x, t), 5), top_ids(x, None, 5))


def test_it_fires_once():
    graph = graph_of(scale, 0.7)
    assert same_ranking(graph) == 1
    assert same_ranking(graph) == 0
    assert next(n for n in graph.nodes if n.target is top_ids).args[1] is None


def test_near_miss_another_shape_or_the_temperature_of_other_logits():
    graph = graph_of(subtract, 1.0)
    assert same_ranking(graph) == 0
    graph = graph_of(scale, 0.7)
    scaled = next(n for n in graph.nodes if n.target is scale)
    with graph.inserting_before(scaled):
        scaled.update_arg(0, graph.call_function(subtract, (scaled.args[0], 1.0)))
    assert same_ranking(graph) == 0
