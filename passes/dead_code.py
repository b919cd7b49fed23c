"""Drop what nobody reads; state ops stay, because they return the next version of a handle that is read."""

from torch import fx

from penstock.ir.region import Region


def dead_code(graph: fx.Graph) -> int:
    """How many nodes went. A random op goes too: an address that is not read leaves no trace."""
    count = 0
    for node in reversed(list(graph.nodes)):
        if isinstance(node.target, Region):
            count += dead_code(node.target.graph)
        if node.op in ("call_function", "call_method") and not node.users:
            graph.erase_node(node)
            count += 1
    return count
