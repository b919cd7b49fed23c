"""Random ops become functions of weights and address words, which are known before their weights are.

``race(w, key, stage, purpose, at, live)  ->  supported(earliest(w, words(key, stage, purpose, at)), stage, live)``, and the same
for `foresee`. A beam's race carries hidden scores from step to step of a draft and stays what it is.
"""

from typing import Any

from torch import fx

from penstock.ir.example import made_of_examples
from penstock.ir.ops.exposed import earliest, supported, words
from penstock.ir.ops.random import foresee, race
from penstock.ir.trace import unwrap
from penstock.ir.types import type_of


def expose_noise(graph: fx.Graph) -> int:
    """How many draws are exposed now."""
    races = [node for node in graph.nodes if node.target in (race, foresee)]
    for node in races:
        weights, *place = node.args
        with graph.inserting_before(node):
            address = recorded(graph, node, words, tuple(place))
            token = recorded(graph, node, earliest, (weights, address))
            found = recorded(graph, node, supported, (token, node.meta.get("stage") or place[1]), live=node.kwargs["live"])
        node.replace_all_uses_with(found)
        graph.erase_node(node)
    return len(races)


def recorded(graph: fx.Graph, of: fx.Node, target: Any, args: Any, **kwargs: Any) -> fx.Node:
    """A node of the stage and line of another, typed by its own example."""
    node = graph.call_function(target, args, kwargs)
    example = made_of_examples(target, *unwrap(fx.node.map_arg((args, kwargs), value)))
    node.meta.update(of.meta, origin="expose_noise", example=example, type=type_of(example, 0))
    return node


def value(node: fx.Node) -> Any:
    return node.meta["example"]
