"""Lower a step graph for the host."""

from typing import Any

from torch import fx

from penstock.backends.eager.generate import Step, compiled
from penstock.backends.eager.kernels import KERNELS, REGIONS
from penstock.ir.region import Region
from penstock.passes.build import StepGraph
from penstock.passes.dead_code import dead_code
from penstock.passes.greedy_selection import greedy_selection


def lower(step: StepGraph) -> Step:
    """``step(*handles) -> handles`` as one Python function; its text is its docstring."""
    graph = copied(step.graph)
    greedy_selection(graph)
    shorten(graph)
    dead_code(graph)
    return compiled(graph, KERNELS, REGIONS)


def copied(graph: fx.Graph) -> fx.Graph:
    """A graph of its own, regions and their data included."""
    new, values = fx.Graph(), {}
    output = new.graph_copy(graph, values)  # type: ignore[arg-type]
    new.output(output)
    for node in new.nodes:
        if isinstance(node.target, Region):
            region = node.target
            inner_values: dict[fx.Node, Any] = {}
            inner = fx.Graph()
            inner.output(inner.graph_copy(region.graph, inner_values))  # type: ignore[arg-type]
            move = lambda nodes, v=inner_values: [v[n] for n in nodes]  # noqa: E731
            node.target = Region(region.kind, inner, move(region.lead), move(region.carried), move(region.captures), dict(region.data))
    return new


def shorten(graph: fx.Graph) -> None:
    """A region with a kernel of its own reads its named captures only."""
    for node in graph.nodes:
        if isinstance(node.target, Region) and node.target.data["label"] in REGIONS:
            count, named = len(node.target.carried), len(node.target.data["given"])
            node.args = (*[None] * count, *node.args[count : count + named])
