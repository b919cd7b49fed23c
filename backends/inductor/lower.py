"""Lower a step graph so that draws and walks run compiled; models, state and host stages stay as the eager backend has them."""

import warnings
from collections.abc import Collection
from functools import partial
from typing import Any

from torch import fx

from penstock.backends.eager import lower as eager
from penstock.backends.eager.clock import Tick
from penstock.backends.eager.generate import Kernels, Step, compiled
from penstock.backends.eager.kernels import KERNELS as ON_HOST
from penstock.backends.eager.lazy import deferred
from penstock.backends.eager.places import kernel
from penstock.backends.inductor import draws
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.capture import capture, reads_text
from penstock.backends.inductor.lockstep import Lockstep
from penstock.backends.inductor.region import DeviceRegion
from penstock.backends.inductor.sites import by_site
from penstock.backends.inductor.toolchain import compiler, keep_cache
from penstock.ir.op import Op
from penstock.ir.ops import exposed
from penstock.ir.region import Region
from penstock.passes.buckets import by_bucket
from penstock.passes.build import StepGraph
from penstock.passes.dead_code import dead_code
from penstock.passes.expose_noise import expose_noise, recorded
from penstock.passes.order import optimised

KERNELS: Kernels = {
    **ON_HOST,
    exposed.words: (kernel(draws.words),),
    exposed.select_words: (kernel(draws.select_words),),
    exposed.accept_words: (kernel(draws.accept_words),),
    exposed.supported: (kernel(draws.supported),),
}
OF_THE_HOST = ("fuse_sampling",)
"""Optimisations for a walk on the host, which comes to few sites; a region walks over all tokens."""
TOKEN = 2
"""Which of a walk's results the selected tokens are."""


def lower(step: StepGraph, artefacts: Artefacts, tick: Tick | None = None, without: Collection[str] = ()) -> Step:
    """``step(*handles) -> handles``; without a C++ compiler, which is warned of, as the eager backend has it."""
    if compiler() is None:
        warnings.warn("there is no C++ compiler (set CXX to one): the pipeline runs eager", RuntimeWarning, stacklevel=2)
        return eager.lower(step, tick, without)
    keep_cache()
    return by_bucket(step, lambda each: lowered(each, artefacts, tick, without))


def lowered(step: StepGraph, artefacts: Artefacts, tick: Tick | None = None, without: Collection[str] = ()) -> Step:
    """The step of one bucket."""
    graph, _ = optimised(step.graph, {*without, *OF_THE_HOST})
    expose_noise(graph)
    walks = [node for node in graph.nodes if isinstance(node.target, Region) and node.target.data["label"] == "walk"]
    for node in walks:
        if (why := stays(node)) is None:
            in_lockstep(graph, node)
        else:
            artefacts.report.refused[f"{node.meta['stage']}"] = why
    dead_code(graph)
    for node in (node for node in walks if isinstance(node.target, Lockstep)):
        with graph.inserting_before(node):
            node.update_kwarg("composed", by_site(node.kwargs["composed"]))
    dead_code(graph)
    graph = capture(graph, partial(DeviceRegion, artefacts=artefacts))
    eager.place_regions(graph)
    return compiled(graph, KERNELS, tick)


def stays(walk: fx.Node) -> str | None:
    """Why a walk is left to the host, which asks at the few sites that are read: what answers is there, or no shape is fixed."""
    for node in deferred((given(walk)["composed"],)):
        if on_host(node):
            return f"{node.meta['stage']} is asked on the host, site by site"
        if reads_text(node):
            return f"{node.meta['stage']} reads the whole text, which grows"
    return None


def on_host(node: fx.Node) -> bool:
    return isinstance(node.target, Op) and node.target.category == "host"


def given(walk: fx.Node) -> dict[str, Any]:
    """What a walk names of what it captures."""
    count, names = len(walk.target.carried), walk.target.data["given"]  # type: ignore[union-attr]
    return dict(zip(names, walk.args[count : count + len(names)], strict=True))


def in_lockstep(graph: fx.Graph, node: fx.Node) -> None:
    """A walk for all rows at once, its address words beside what it reads; the host tells of rows that it found nothing for."""
    lockstep, reads = Lockstep(node.target), given(node)  # type: ignore[arg-type]
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
