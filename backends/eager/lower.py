"""Lower a step graph for the host."""

from collections.abc import Collection

from torch import fx

from penstock.backends.eager.clock import Tick
from penstock.backends.eager.generate import Step, compiled
from penstock.backends.eager.kernels import KERNELS, REGIONS
from penstock.backends.eager.lazy import by_site
from penstock.backends.eager.reached import reach
from penstock.ir.region import Region
from penstock.passes.buckets import by_bucket
from penstock.passes.build import StepGraph
from penstock.passes.dead_code import dead_code
from penstock.passes.order import optimised


def lower(step: StepGraph, tick: Tick | None = None, without: Collection[str] = ()) -> Step:
    """``step(*handles) -> handles`` as one Python function, whose text is its docstring; ``tick`` is told of every stage.

    ``without``: names of optimisations to leave out. Raises PenstockError for one that there is not.
    """
    return by_bucket(step, lambda each: lowered(each, tick, without))


def lowered(step: StepGraph, tick: Tick | None = None, without: Collection[str] = ()) -> Step:
    """The step of one bucket."""
    graph, _ = optimised(step.graph, without)
    place_regions(graph)
    return compiled(graph, KERNELS, tick)


def place_regions(graph: fx.Graph) -> None:
    """A region with a kernel of its own becomes that kernel, which reads what it names of the region's named captures."""
    regions = {node: node.target for node in graph.nodes if isinstance(node.target, Region)}
    placed = {node: region for node, region in regions.items() if region.data["label"] in REGIONS}
    for node, region in placed.items():
        count, names = len(region.carried), region.data["given"]
        given = dict(zip(names, node.args[count : count + len(names)], strict=True))
        node.target = REGIONS[region.data["label"]](region)
        taken = {name: value for name, value in given.items() if name in node.target.takes}
        sites = tuple(given[name] for name in ("composed", "values", "ids") if name in given)
        node.args, node.kwargs = (), taken | {"composed": sites}
    dead_code(graph)  # what only the regions themselves read, so that sites can wait
    for node, region in placed.items():
        with graph.inserting_before(node):
            node.update_kwarg("composed", by_site(node.kwargs["composed"], KERNELS, region.data.get("fused", False)))
    dead_code(graph)  # what was composed site by site
    for node in placed:
        reach(node)
