"""Lower a step graph for the host."""

from typing import Any

from torch import fx

from penstock.backends.eager.clock import Tick
from penstock.backends.eager.generate import Step, compiled
from penstock.backends.eager.kernels import KERNELS, REGIONS
from penstock.backends.eager.lazy import by_site
from penstock.ir.region import Region
from penstock.passes.buckets import by_bucket
from penstock.passes.build import StepGraph
from penstock.passes.dead_code import dead_code
from penstock.passes.greedy_selection import greedy_selection
from penstock.passes.same_ranking import same_ranking


def lower(step: StepGraph, tick: Tick | None = None) -> Step:
    """``step(*handles) -> handles`` as one Python function, whose text is its docstring; ``tick`` is told of every stage."""
    return by_bucket(step, lambda each: lowered(each, tick))


def lowered(step: StepGraph, tick: Tick | None = None) -> Step:
    """The step of one bucket."""
    graph = copied(step.graph)
    greedy_selection(graph)
    same_ranking(graph)
    place_regions(graph)
    dead_code(graph)
    return compiled(graph, KERNELS, tick)


def copied(graph: fx.Graph) -> fx.Graph:
    """A graph of its own, regions at any depth and their data included."""
    return with_values(graph)[0]


def with_values(graph: fx.Graph) -> tuple[fx.Graph, dict[fx.Node, Any]]:
    """`copied`, and the copy of every node."""
    new, values = fx.Graph(), dict[fx.Node, Any]()
    new.output(new.graph_copy(graph, values))
    for node in new.nodes:
        if isinstance(node.target, Region):
            region, (inner, moved) = node.target, with_values(node.target.graph)
            lead, carried, captures = ([moved[n] for n in nodes] for nodes in (region.lead, region.carried, region.captures))
            node.target = Region(region.kind, inner, lead, carried, captures, dict(region.data))
    return new, values


def place_regions(graph: fx.Graph) -> None:
    """A region with a kernel of its own becomes that kernel, which reads what it names of the region's named captures."""
    for node in graph.nodes:
        region = node.target
        if isinstance(region, Region) and region.data["label"] in REGIONS:
            count, names = len(region.carried), region.data["given"]
            given = dict(zip(names, node.args[count : count + len(names)], strict=True))
            node.target = REGIONS[region.data["label"]](region)
            with graph.inserting_before(node):
                given["composed"] = by_site(given["composed"], KERNELS)
            node.args, node.kwargs = (), {name: value for name, value in given.items() if name in node.target.takes}
