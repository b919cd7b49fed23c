"""A temperature does not change a ranking: the logits settle its ties anyway.

``top_ids(x, scale(x, t), k)  ->  top_ids(x, None, k)``, for 0 too, which leaves the lowest of the largest ids
in front, and so for `greedy`.
"""

from torch import fx

from penstock.ir.ops.logits import greedy, scale, top_ids


def same_ranking(graph: fx.Graph) -> int:
    """How many rankings read the logits alone from now on."""
    count = 0
    for node in graph.nodes:
        if node.target is not top_ids:
            continue
        logits, first = node.args[:2]
        if isinstance(first, fx.Node) and first.target in (scale, greedy) and first.args[0] is logits:
            node.update_arg(1, None)
            count += 1
    return count
