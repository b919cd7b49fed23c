"""Forwards of one model that do not wait for each other become one call.

``forward(a, x); forward(b, y)  ->  forward_stacked(a, b, x, y)`` for views a and b of one model: a verifier and the branches that
a bias verifier or guidance reads beside it. The weights are read once instead of once a view. The call stands where the first of
the forwards stood; what the others are fed moves before it, as far as it is computed by ops that leave every handle alone.

Not stacked: forwards in regions, which are of some rows only; forwards of a range of layers, or on vectors instead of tokens.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx

from penstock.ir.ops.forward import forward
from penstock.ir.ops.stacked import MOST, RESULTS, STACKED, place_of
from penstock.ir.region import Region
from penstock.ir.types import type_of
from penstock.passes.lint import linear
from penstock.passes.optimise.moving import ancestors, movable, span, told
from penstock.passes.optimise.optimisation import Finding

PLAIN = frozenset({"root", "want_hidden", "live"})
"""What a forward may be told by name to be stacked."""


class ShareForwards:
    """The pass."""

    name = "share_forwards"

    def requires(self, graph: fx.Graph) -> None:
        """Handles are linear."""
        linear(graph)

    def run(self, graph: fx.Graph) -> list[Finding]:
        """Stack what can be, beginning with the first forward; of the others, why they stay by themselves."""
        waiting = [node for node in graph.nodes if node.target is forward]
        asked = Counter(model_of(node).name for node in waiting)
        found = [*in_regions(graph), *(alone(node) for node in waiting if asked[model_of(node).name] == 1)]
        while waiting:
            first, *others = waiting
            stack, apart = gathered(first, others)
            found += [Finding(self.name, node, False, reason) for node, reason in apart]
            found += [Finding(self.name, node, True, f"in one call with {told(first)}") for node in stack.members[1:]]
            if len(stack.members) > 1:
                stack.build()
            waiting = [node for node in others if node not in stack.members]
        return found

    def ensures(self, graph: fx.Graph) -> None:
        """Handles are linear."""
        linear(graph)


@dataclass
class Stack:
    """Forwards that become one call, and what has to be computed before the first of them for the others."""

    members: list[fx.Node]
    before: list[fx.Node]

    def against(self, node: fx.Node) -> tuple[list[fx.Node], str | None]:
        """What must move for one more member, in order, and why it cannot be one, if it cannot."""
        first = self.members[0]
        between = [each for each in span(first, node) if each not in self.before]
        needed = ancestors(node, set(between))
        if (reason := odd(first) or odd(node)) is not None:
            return needed, reason
        if node.args[1] is not first.args[1] or node.kwargs["live"] is not first.kwargs["live"]:
            return needed, "it is of other rows, or of another text"
        if (held := next((each for each in needed if not movable(each)), None)) is not None:
            return needed, f"it waits for {told(held)}"
        reader = next((each for each in between if node.args[0] in each.all_input_nodes and each not in needed), None)
        return needed, None if reader is None else f"{told(reader)} reads its view before"

    def build(self) -> None:
        """Put the call where the first forward stood."""
        first, views = self.members[0], len(self.members)
        for node in self.before:
            first.prepend(node)
        with first.graph.inserting_before(first):
            handles = (*(node.args[0] for node in self.members), first.args[1])
            asked = tuple(asked_of(node) for node in self.members)
            call = first.graph.call_function(STACKED[views], handles, dict(asked=asked, live=first.kwargs["live"]))
        example = [each.meta["example"] for each in self.members]
        call.meta |= first.meta | dict(origin="share_forwards", example=results_of(example))
        call.meta["type"] = type_of(call.meta["example"], model_of(first).vocab)
        for part, node in enumerate(self.members):
            for user in list(node.users):  # each picks one result
                user.args = call, place_of(part, user.args[1], views)  # type: ignore[arg-type]
            node.graph.erase_node(node)


def gathered(first: fx.Node, others: Sequence[fx.Node]) -> tuple[Stack, list[tuple[fx.Node, str]]]:
    """The stack that begins with a forward, and the other forwards of its model, each with why it is not in it."""
    stack, apart = Stack([first], []), list[tuple[fx.Node, str]]()
    for node in (each for each in others if model_of(each) == model_of(first)):
        needed, reason = stack.against(node)
        if reason is None and len(stack.members) < MOST:
            stack.members.append(node)
            stack.before += needed
        else:
            apart.append((node, reason or f"one call serves {MOST} views"))
    return stack, apart


def alone(node: fx.Node) -> Finding:
    """That there is nothing to share."""
    return Finding("share_forwards", node, False, f"nothing else asks {model_of(node).name}")


def odd(node: fx.Node) -> str | None:
    """Why a forward cannot be stacked with any."""
    if "stack" not in model_of(node).capabilities:
        return f"{model_of(node).name} cannot tell the parts of a call apart"
    more = sorted(name for name in node.kwargs if name not in PLAIN)
    return f"{told(node)} says {', '.join(more)}" if more else None


def asked_of(node: fx.Node) -> tuple[Any, ...]:
    """What a forward is asked, as a stack is told it."""
    given = dict(zip(("tokens", "parents"), node.args[2:], strict=False)) | node.kwargs
    return given.get("tokens"), given.get("parents", ()), given.get("root", False), given.get("want_hidden", False)


def results_of(each: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The results of forwards in the places where a stack has them."""
    placed = {place_of(part, i, len(each)): result for part, results in enumerate(each) for i, result in enumerate(results)}
    return tuple(placed[place] for place in range(RESULTS * len(each)))


def in_regions(graph: fx.Graph) -> Iterator[Finding]:
    """Forwards at any depth, of which some rows have no part."""
    for region in (node.target for node in graph.nodes if isinstance(node.target, Region)):
        yield from in_regions(region.graph)
        for node in (n for n in region.graph.nodes if n.target is forward):
            yield Finding("share_forwards", node, False, f"it is of some rows only, in {region.__name__}")


def model_of(node: fx.Node) -> Any:
    """The model of the view that a forward is of."""
    return node.args[0].meta["example"].model  # type: ignore[union-attr]


SHARE_FORWARDS = ShareForwards()
