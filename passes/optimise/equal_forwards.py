"""Forwards that cannot but answer the same are made once: of views that begin with the same text and are fed the same nodes.

``forward(a, x); keep(a, path); forward(b, x); keep(b, path)  ->  forward(a, x); keep(a, path)`` where a and b are views of one
model on one prompt, as two stages may declare them. What they hold is equal when a batch begins and stays so from step to step,
because every step feeds them the same and has them keep the same; so b is never fed, and what it would answer is read from a.

Not so: views that are fed in some rows only, other nodes, other layers or vectors of their own, or that something else reads too.
"""

from operator import getitem

from torch import fx

from penstock.ir.ops.forward import forward, keep
from penstock.passes.lint import linear
from penstock.passes.optimise.moving import told
from penstock.passes.optimise.optimisation import Finding
from penstock.passes.optimise.versions import beginning, called, makers

Life = list[fx.Node]
"""The ops that a view goes through in a step, in order."""


class EqualForwards:
    """The pass."""

    name = "equal_forwards"

    def requires(self, graph: fx.Graph) -> None:
        """Handles are linear."""
        linear(graph)

    def run(self, graph: fx.Graph) -> list[Finding]:
        """Have a view answer for those that are its equals; why one that reads the same text is not, is told."""
        found, apart = list[Finding](), list[tuple[fx.Node, Life]]()
        for view, life in lives(graph):
            like = [(other, before, unlike(graph, before, life)) for other, before in apart if reads_same(other, view)]
            equal = next(((other, before) for other, before, reason in like if reason is None), None)
            if equal is None:
                apart.append((view, life))
                why = [f"{called(view)} is not read from {called(other)}: {reason}" for other, _, reason in like]
                found += [Finding(self.name, life[0], False, each) for each in why]
            else:
                found.append(Finding(self.name, life[0], True, f"{called(view)} is read from {called(equal[0])}"))
                unite(view, equal[1], life)
        return found

    def ensures(self, graph: fx.Graph) -> None:
        """Handles are linear."""
        linear(graph)


def lives(graph: fx.Graph) -> list[tuple[fx.Node, Life]]:
    """The views that are fed in a step, and what they go through; that which is fed first first, and in regions last."""
    order = places(graph)
    returned = [node for node in list(order)[-1].all_input_nodes if node.meta.get("type") == "View"]
    found = [(beginning(version), [call for call, _ in makers(version)][::-1]) for version in returned]
    return sorted(((view, life) for view, life in found if life), key=lambda each: order.get(each[1][0], len(order)))


def places(graph: fx.Graph) -> dict[fx.Node, int]:
    """Where each node stands."""
    return {node: place for place, node in enumerate(graph.nodes)}


def reads_same(one: fx.Node, other: fx.Node) -> bool:
    """Whether two views are of one model and begin with the same text."""
    return one.meta.get("text") is not None and one.meta["text"] == other.meta.get("text")


def unlike(graph: fx.Graph, one: Life, other: Life) -> str | None:
    """Why what a view answers cannot be read from one that is fed before it, if it cannot."""
    order = places(graph)
    for call in (*one, *other):
        if call not in order:
            return f"{told(call)} is of some rows only"
        if call.target not in (forward, keep):
            return f"{told(call)} is of one of them alone"
    if len(one) != len(other):
        return f"a step goes on with one {len(one)} times and with the other {len(other)} times"
    for before, call in zip(one, other, strict=True):
        if (before.target, before.args[1:], before.kwargs) != (call.target, call.args[1:], call.kwargs):
            return f"{told(call)} asks something else than {told(before)}"
        if order[before] > order[call]:
            return f"{told(call)} comes before {told(before)}"
    users = (user for version in versions(other) for user in version.users)
    reader = next((user for user in users if user not in other and user.op != "output"), None)
    return None if reader is None else f"{told(reader)} reads it"


def versions(life: Life) -> list[fx.Node]:
    """A view as each op finds it, and as the last leaves it."""
    return [*(call.args[0] for call in life), after(life)]  # type: ignore[list-item]


def after(life: Life) -> fx.Node:
    """A view as its last op leaves it."""
    (version,) = (user for user in life[-1].users if user.args[1] == 0)
    return version


def unite(view: fx.Node, one: Life, other: Life) -> None:
    """Have the answers of one life read where those of the other were, and leave the other's view as it was."""
    after(other).replace_all_uses_with(view)
    for before, call in zip(one, other, strict=True):
        for answer in [user for user in call.users if user.args[1] != 0]:
            answer.replace_all_uses_with(answered(before, answer))
    for call in reversed(other):
        for each in (*call.users, call):
            call.graph.erase_node(each)


def answered(call: fx.Node, answer: fx.Node) -> fx.Node:
    """The same result of another call."""
    index = answer.args[1]
    known = next((user for user in call.users if user.args[1] == index), None)
    if known is None:
        with call.graph.inserting_after(call):
            known = call.graph.call_function(getitem, (call, index))
        known.meta |= answer.meta
    return known


EQUAL_FORWARDS = EqualForwards()
