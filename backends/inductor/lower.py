"""Lower a step graph so that draws and walks run compiled; state and host stages stay as the eager backend has them."""

import warnings
from collections.abc import Collection
from functools import partial

from torch import fx

from penstock.backends.eager import lower as eager
from penstock.backends.eager.clock import Tick
from penstock.backends.eager.generate import Kernels, Step, compiled
from penstock.backends.eager.kernels import KERNELS as ON_HOST, OF_LOGITS
from penstock.backends.eager.places import kernel, of_tensors
from penstock.backends.eager.reached import reach
from penstock.backends.eager.walk import walk
from penstock.backends.inductor import draws
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.capture import SORTING, capture, mark, mark_resident
from penstock.backends.inductor.chosen import Choice
from penstock.backends.inductor.lockstep import TOKEN, Lockstep
from penstock.backends.inductor.region import DeviceRegion
from penstock.backends.inductor.resident import bodies, hold
from penstock.backends.inductor.sites import Site, by_site
from penstock.backends.inductor.toolchain import compiler, keep_cache
from penstock.backends.inductor.ways import captured, walks, way
from penstock.ir.ops import exposed, forward as forwards
from penstock.ir.ops.stacked import STACKED
from penstock.passes.buckets import by_bucket
from penstock.passes.build import StepGraph
from penstock.passes.dead_code import dead_code
from penstock.passes.expose_noise import expose_noise, recorded
from penstock.passes.order import optimised

FED = {forwards.forward: "tokens"} | dict.fromkeys(STACKED.values(), "asked")
"""By op that feeds a model, the parameter that tokens are in, which may be on a device."""
KERNELS: Kernels = {
    **ON_HOST,
    **{op: (*ON_HOST[op], of_tensors(ON_HOST[op][0], name)) for op, name in FED.items()},
    exposed.words: (kernel(draws.words),),
    exposed.select_words: (kernel(draws.select_words),),
    exposed.accept_words: (kernel(draws.accept_words),),
    exposed.supported: (kernel(draws.supported),),
    exposed.vouched: (kernel(draws.vouched),),
    exposed.fetched: (kernel(draws.fetched),),
}
ON_DEVICE: Kernels = {op: kernels for op, kernels in KERNELS.items() if op not in OF_LOGITS}
"""Where logits are a device's: nothing asks what they hold."""
OF_THE_HOST = ("narrow", "fuse_sampling")
"""Optimisations for draws and walks on the host, which has kernels for candidates; a region draws among all tokens."""


def lower(
    step: StepGraph, artefacts: Artefacts, tick: Tick | None = None, without: Collection[str] = (), lockstep: bool = False
) -> Step:
    """``step(*handles) -> handles``; without a C++ compiler, which is warned of, as the eager backend has it.

    ``lockstep``: every walk that can be is one region over all rows, as a device wants it, whatever is faster on this host.
    """
    if compiler() is None:
        warnings.warn("there is no C++ compiler (set CXX to one): the pipeline runs eager", RuntimeWarning, stacklevel=2)
        return eager.lower(step, tick, without)
    keep_cache()
    kernels = ON_DEVICE if lockstep else KERNELS
    return by_bucket(step, lambda each: compiled(placed(each, artefacts, without, lockstep), kernels, tick))


def placed(step: StepGraph, artefacts: Artefacts, without: Collection[str] = (), lockstep: bool = False) -> fx.Graph:
    """The step of one bucket, every region and walk where it runs."""
    graph = marked(step.graph, without, lockstep)
    artefacts.report.walks |= {node.meta["stage"]: str(node.meta["way"]) for node in graph.nodes if "way" in node.meta}
    graph = capture(graph, partial(DeviceRegion, artefacts=artefacts))
    for node in walks(graph):
        if node.meta["way"].name == "sites":
            over_sites(graph, node, artefacts)
    eager.place_regions(graph)
    return graph


def marked(step: fx.Graph, without: Collection[str] = (), lockstep: bool = False) -> fx.Graph:
    """The step optimised, its noise exposed; walks have their ``way`` as metadata, nodes of a region their ``region``."""
    graph, _ = optimised(step, {*without, *OF_THE_HOST} if lockstep else without)
    expose_noise(graph)
    for node in walks(graph):
        node.meta["way"] = way(node, lockstep)
        if node.meta["way"].name == "lockstep":
            in_lockstep(graph, node)
    if lockstep:
        hold(graph)
        for node in bodies(graph):
            expose_noise(node.target.graph)
    dead_code(graph)
    together = [node for node in graph.nodes if isinstance(node.target, Lockstep)]
    for node in together:
        with graph.inserting_before(node):
            node.update_kwarg("composed", by_site(node.kwargs["composed"]))
    dead_code(graph)
    if lockstep and together:
        mark_resident(graph)
    else:  # a canvas has no walk, and as many columns as its rows are long
        mark(graph, SORTING)
    return graph


def over_sites(graph: fx.Graph, node: fx.Node, artefacts: Artefacts) -> None:
    """A walk on the host that calls what is compiled at each site."""
    region, rule, given = node.target, node.target.data["rule"], captured(node)  # type: ignore[union-attr]
    node.args, node.kwargs = (), {name: value for name, value in given.items() if name not in ("q", "rank")}
    dead_code(graph)  # what only the region itself reads, so that sites can wait
    with graph.inserting_before(node):
        composed = by_site(given["composed"], Site)
    node.update_kwarg("composed", composed)
    node.target = walk(region, {rule.name: Choice(region.data["stage"], composed.target, artefacts)})  # type: ignore[arg-type]
    dead_code(graph)
    reach(node)


def in_lockstep(graph: fx.Graph, node: fx.Node) -> None:
    """A walk for all rows at once, its address words beside what it reads; the host tells of rows that it found nothing for."""
    lockstep, reads = Lockstep(node.target), captured(node)  # type: ignore[arg-type]
    key, stage, source = reads.pop("key"), lockstep.data["stage"], lockstep.data["source"]
    with graph.inserting_before(node):
        if not lockstep.greedy:
            selections = key, stage, reads["length"], lockstep.steps
            reads["selects"] = recorded(graph, node, exposed.select_words, selections)
        if lockstep.throws_coins and "token" in reads:
            coins = key, stage, reads["steps"], lockstep.steps - 1, lockstep.width
            reads["accepts"] = recorded(graph, node, exposed.accept_words, coins)
    node.target, node.args, node.kwargs = lockstep, (), {name: reads[name] for name in reads if lockstep.reads(name)}
    for result in [user for user in node.users if user.args[1] == TOKEN]:
        with graph.inserting_after(result):
            sure = recorded(graph, result, exposed.supported, (result, stage), live=reads["live"], source=source)
        result.replace_all_uses_with(sure, delete_user_cb=lambda user, sure=sure: user is not sure)
