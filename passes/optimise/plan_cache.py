"""What views keep of a step is planned while compiling: where the draft's shape says so, no path is read and no slot moves.

``keep(view, seq, path, count)`` moves the slots of the accepted nodes to where the text ends, whatever path they are on.

- A view that is fed no node has nothing to keep: ``keep`` goes.
- Where a path can only be the first of a view's nodes in their order, ``keep(view, seq, path, count) = keep_first(view, count)``.
  So it is in a chain, and where a tree branches behind the last node that the view is fed.
- Else it stays, and how many slots of a row move at most is told: in a tree those of a path that is not its first nodes; where
  rows differ in shape as many as a path is long.

What else a step does not write where it was is told too: registers that take what the step made, and a draft's distributions.
"""

from typing import Any

from torch import fx

from penstock.ir.ops.forward import catch_up, forward, keep, keep_first
from penstock.ir.ops.inject import inject
from penstock.ir.ops.stacked import STACKED
from penstock.ir.trace import unwrap
from penstock.passes.lint import linear
from penstock.passes.optimise.made_anew import is_walk, made_anew
from penstock.passes.optimise.moving import maker, told
from penstock.passes.optimise.optimisation import Finding
from penstock.passes.optimise.share_forwards import asked_of
from penstock.passes.optimise.versions import called, makers

FEED_NONE = (catch_up, inject)
"""Ops that give a view another version and feed it no node."""


class PlanCache:
    """The pass."""

    name = "plan_cache"

    def requires(self, graph: fx.Graph) -> None:
        """Handles are linear."""
        linear(graph)

    def run(self, graph: fx.Graph) -> list[Finding]:
        """Plan what every view keeps, and tell what else a step makes anew."""
        return [*(planned(node) for node in list(graph.nodes) if node.target is keep), *made_anew(graph)]

    def ensures(self, graph: fx.Graph) -> None:
        """Handles are linear."""
        linear(graph)


def planned(node: fx.Node) -> Finding:
    """Drop one `keep`, or have it move nothing, or say why it must move what is accepted."""
    version, _, path, _ = node.args
    view, fed = called(version), nodes_fed(version)  # type: ignore[arg-type]
    if isinstance(fed, fx.Node):
        return Finding("keep_first", node, False, f"what {told(fed)} feeds {view} is not known")
    if not fed:
        drop(node)
        return Finding("keep_nothing", node, True, f"{view} is fed its text alone")
    if not is_walk(walk := maker(path)):
        return Finding("keep_first", node, False, f"{told(walk)} makes the path")
    parents: tuple[int, ...] | None = walk.target.data["parents"]
    if parents is not None and in_order(parents, fed):
        put_first(node)
        return Finding("keep_first", node, True, chain_of(view, len(parents), fed))
    most = min(walk.target.data["times"] - 1, fed) if parents is None else most_moved(parents, fed)
    why = "rows draft in unequal shapes" if parents is None else f"paths branch among its {fed} nodes"
    return Finding("keep_first", node, False, f"slots of {view} that move in a row: up to {most}, because {why}")


def chain_of(view: str, drafted: int, fed: int) -> str:
    """Why no slot of a view moves."""
    if drafted < fed:
        return f"of {fed} nodes that {view} is fed only a chain of {drafted} can be accepted"
    return f"{view} is fed a chain of {fed}"


def nodes_fed(version: fx.Node) -> int | fx.Node:
    """How many in-step nodes a row has at most in this version of a view; or the op of which that is not known."""
    total = 0
    for call, place in makers(version):
        if call.target in FEED_NONE:
            continue
        if call.target is not forward and call.target not in STACKED.values():
            return call
        tokens: Any = asked_in(call, place)[0]
        example = unwrap(fx.node.map_arg(tokens, lambda node: node.meta["example"]))
        total += 0 if example is None else example.shape[1]
    return total


def asked_in(call: fx.Node, place: int) -> tuple[Any, ...]:
    """What a call of one view or several asks of that in a place."""
    asked: Any = call.kwargs.get("asked")
    return asked_of(call) if asked is None else asked[place]


def in_order(parents: tuple[int, ...], fed: int) -> bool:
    """Whether what any path has of the first ``fed`` nodes is the first of these: they are a chain, and what comes behind hangs
    on none of them but the last.
    """
    return not most_moved(parents, fed) and all(parent >= fed - 1 for parent in parents[fed:])


def most_moved(parents: tuple[int, ...], fed: int) -> int:
    """The most nodes of a path among the first ``fed`` that are not where the path has them: node i at depth i stays."""
    depths, moved = list[int](), list[int]()
    for i, parent in enumerate(parents[:fed]):
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
        moved.append((moved[parent] if parent >= 0 else 0) + (depths[i] != i))
    return max(moved, default=0)


def drop(node: fx.Node) -> None:
    """Take out a `keep`: the view stays as it is."""
    (result,) = node.users
    result.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    for each in (result, node):
        node.graph.erase_node(each)


def put_first(node: fx.Node) -> None:
    """Have a `keep` read no path."""
    version, _, _, count = node.args
    node.target, node.args = keep_first, (version, count)
    node.meta["origin"] = "plan_cache"


PLAN_CACHE = PlanCache()
