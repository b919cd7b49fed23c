"""Host ops run while a forward does that they do not wait for: a grammar's masks while the target scores the draft.

``forward(...); h(x)  ->  a = begun(h, x); forward(...); awaited(a)`` for a host op h whose result has an entry of its own for
each row or site. It begins before the first forward that it need not wait for; what it reads is computed before that, by ops
that leave every handle as it is.
"""

from torch import fx

from penstock.ir.op import Op
from penstock.ir.ops.ahead import Work, awaited, begun
from penstock.ir.trace import Constant
from penstock.passes.lint import linear
from penstock.passes.optimise.moving import ancestors, movable, span, told
from penstock.passes.optimise.optimisation import Finding


class Overlap:
    """The pass."""

    name = "overlap"

    def requires(self, graph: fx.Graph) -> None:
        """Handles are linear."""
        linear(graph)

    def run(self, graph: fx.Graph) -> list[Finding]:
        """Begin every host op as early as there is a forward to run beside it."""
        return [self.moved(node) for node in list(graph.nodes) if on_host(node)]

    def ensures(self, graph: fx.Graph) -> None:
        """Handles are linear."""
        linear(graph)

    def moved(self, node: fx.Node) -> Finding:
        """Split one host op in two, or say why not."""
        if not by_entry(node.target):
            return Finding(self.name, node, False, "its result has no entries of their own")
        before = list(span(next(iter(node.graph.nodes)), node))
        needed = ancestors(node, set(before))
        held = [i for i, each in enumerate(before) if each in set(needed) and not movable(each)]
        free = before[held[-1] + 1 :] if held else before
        first = next((each for each in free if is_forward(each)), None)
        if first is None:
            last = next((each for each in reversed(before) if is_forward(each)), None)
            why = "no forward stands before it" if last is None else f"it waits for {told(last)}"
            return Finding(self.name, node, False, why)
        split(node, first, [each for each in needed if each in set(span(first, node))])
        return Finding(self.name, node, True, f"it begins before {told(first)}")


def split(node: fx.Node, first: fx.Node, needed: list[fx.Node]) -> None:
    """Begin the work of a node before another, behind what it reads, and wait where it stood."""
    for each in needed:
        first.prepend(each)
    with node.graph.inserting_before(first):
        ahead = node.graph.call_function(begun, (Constant(Work(node.target)), *node.args), node.kwargs)  # type: ignore[arg-type]
    with node.graph.inserting_before(node):
        there = node.graph.call_function(awaited, (ahead,))
    for each in (ahead, there):
        each.meta |= node.meta | dict(origin="overlap")
    node.replace_all_uses_with(there)
    node.graph.erase_node(node)


def on_host(node: fx.Node) -> bool:
    """Whether it is an op of the host that reads no handle, and no half of one."""
    op = node.target
    halves = begun, awaited
    return isinstance(op, Op) and op.category == "host" and not op.borrows and not op.consumes and op not in halves


def by_entry(op: object) -> bool:
    """Whether an op's type says that each entry of its result is made by itself: any leading dimensions."""
    return isinstance(op, Op) and getattr(op.meaning.__annotations__.get("return"), "dim_str", "").startswith("*")


def is_forward(node: fx.Node) -> bool:
    return isinstance(node.target, Op) and node.target.category == "forward"


OVERLAP = Overlap()
