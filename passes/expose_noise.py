"""Random ops become functions of weights and address words, which are known before their weights are.

``race(w, key, stage, purpose, at, live)  ->  supported(earliest(w, folded(streams(key, stage, purpose), at)), stage, live)``, and
the same for `foresee`. A beam's race carries hidden scores from step to step of a draft and stays what it is.
"""

from typing import Any

from torch import fx

from penstock.ir.ops.exposed import earliest, folded, streams, supported
from penstock.ir.ops.random import foresee, race
from penstock.ir.types import type_of


def expose_noise(graph: fx.Graph) -> int:
    """How many draws are exposed now; one stream serves all draws of a stage and purpose."""
    drawn: dict[Any, fx.Node] = {}
    races = [node for node in graph.nodes if node.target in (race, foresee)]
    for node in races:
        weights, key, stage, purpose, at = node.args
        with graph.inserting_before(node):
            if (key, stage, purpose) not in drawn:
                drawn[key, stage, purpose] = recorded(graph, node, streams, (key, stage, purpose))
            words = recorded(graph, node, folded, (drawn[key, stage, purpose], at))
            token = recorded(graph, node, earliest, (weights, words))
            found = recorded(graph, node, supported, (token, node.meta.get("stage", stage)), live=node.kwargs["live"])
        node.replace_all_uses_with(found)
        graph.erase_node(node)
    return len(races)


def recorded(graph: fx.Graph, of: fx.Node, target: Any, args: Any, **kwargs: Any) -> fx.Node:
    """A node of the stage and line of another, typed by its own example."""
    node = graph.call_function(target, args, kwargs)
    example = target.meaning(*fx.node.map_arg(args, value), **fx.node.map_arg(kwargs, value))
    node.meta.update(of.meta, origin="expose_noise", example=example, type=type_of(example, 0))
    return node


def value(node: fx.Node) -> Any:
    return node.meta["example"]
