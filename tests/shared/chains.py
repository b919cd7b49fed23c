"""A drafted chain of three over stand-in models, with whatever stages shape it: what rules are tried on."""

from typing import Any

from torch import fx

from penstock.ir.op import Op
from penstock.ir.standin import StandIn
from penstock.library import ModelDrafter, ModelVerifier
from penstock.passes.build import build
from penstock.passes.dead_code import dead_code
from penstock.passes.order import elaborate

VIEWS = {view: StandIn(view, 9, capabilities=frozenset({"tree"})) for view in ("t", "draft:d")}


def chain_graph(*stages: Any, dead: bool = False) -> fx.Graph:
    """The step of ``drafter.model >> verifier.model >> stages``; ``dead`` keeps what nobody reads."""
    graph = build(elaborate((ModelDrafter(model="d", length=3), ModelVerifier(model="t"), *stages)), VIEWS).graph
    if not dead:
        dead_code(graph)
    return graph


def count(graph: fx.Graph, name: str) -> int:
    """How many nodes of the graph itself are this op."""
    return sum(isinstance(n.target, Op) and n.target.name == name for n in graph.nodes)
