"""What has to be computed before a node, and whether that may be moved."""

from collections.abc import Iterator
from typing import Any

from torch import fx

from penstock.ir.op import Op
from penstock.ir.region import Region
from penstock.ir.show import is_result


def span(first: fx.Node, last: fx.Node) -> Iterator[fx.Node]:
    """The nodes from one to another, the last left out."""
    node = first
    while node is not last:
        yield node
        node = node.next


def ancestors(node: fx.Node, among: set[fx.Node]) -> list[fx.Node]:
    """Those that a node is computed from, in the graph's order."""
    found, open_ = set[fx.Node](), [node]
    while open_:
        more = [used for used in open_.pop().all_input_nodes if used in among and used not in found]
        found.update(more)
        open_ += more
    return [each for each in node.graph.nodes if each in found]


def movable(node: fx.Node) -> bool:
    """Whether it leaves every handle as it is and draws nothing, so that it may be computed earlier."""
    op = node.target
    if isinstance(op, Op):
        return not op.consumes and op.category in ("tensor", "host", "state")
    return not isinstance(op, Region)


def maker(value: Any) -> Any:
    """The node that made a value, alone or among others."""
    return value.args[0] if is_result(value) else value


def told(node: fx.Node) -> str:
    """A node as a reader of the report knows it."""
    return f"the {getattr(node.target, '__name__', node.target)} of {node.meta.get('stage') or 'the step'}"
