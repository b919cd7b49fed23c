"""At constant temperature 0 selection is an argmax: no softmax, no noise, no coins.

``race(softmax(scale(x, 0)))  ->  largest(x)`` and ``walk(scale(x, 0))  ->  walk(x), greedy``; `greedy` is `scale` by 0.
Token-preserving: every rule of the walker keeps the argmax, because target and draft are one-hot.
"""

from typing import Any

from torch import fx

from penstock.ir.op import Op
from penstock.ir.ops.logits import COLDEST, greedy, scale, softmax
from penstock.ir.ops.random import foresee, largest, race
from penstock.ir.ops.tree import tip_row
from penstock.ir.region import Region


def greedy_selection(graph: fx.Graph) -> int:
    """How many draws became argmaxes."""
    count = 0
    for node in list(graph.nodes):
        if (is_op(node, race) or is_op(node, foresee)) and (cold := cold_source(node.args[0])) is not None:
            with graph.inserting_before(node):
                found = graph.call_function(largest, cold)
            found.meta.update(node.meta, origin="greedy_selection")
            node.replace_all_uses_with(found)
            graph.erase_node(node)
            count += 1
        if isinstance(node.target, Region) and node.target.data["label"] == "walk" and not node.target.data.get("greedy"):
            place = len(node.target.carried) + node.target.data["given"].index("composed")
            if is_cold(node.args[place]):
                node.update_arg(place, node.args[place].args[0])
                node.target.data["greedy"] = True
                count += 1
    return count


def cold_source(weights: Any) -> tuple[Any, int] | None:
    """``(x, tip)`` where the weights are ``softmax(scale(x, 0))`` at one tip."""
    if is_op(weights, tip_row) and is_op(weights.args[0], softmax) and is_cold(weights.args[0].args[0]):
        return weights.args[0].args[0].args[0], weights.args[1]
    return None


def is_cold(node: Any) -> bool:
    return is_op(node, greedy) or is_op(node, scale) and not isinstance(node.args[1], fx.Node) and node.args[1] < COLDEST


def is_op(node: Any, op: Op) -> bool:
    return isinstance(node, fx.Node) and node.target is op
