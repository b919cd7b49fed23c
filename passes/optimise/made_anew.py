"""What a step makes anew of what it carries or holds, how large that is, and why it is not written where it was.

Texts, lengths and slots are not among it: a handle has one owner, so they are written where they are.
"""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, fx

from penstock.ir.ops.sequence import put
from penstock.ir.region import Region
from penstock.ir.rows import leaves
from penstock.ir.types import type_of
from penstock.passes.optimise.moving import maker, told
from penstock.passes.optimise.optimisation import Finding
from penstock.passes.optimise.versions import called


def made_anew(graph: fx.Graph) -> Iterator[Finding]:
    """Registers that take a value made in this step, and distributions that a walk needs of the whole draft."""
    for node in graph.nodes:
        if node.target is put:
            yield Finding("in_place", node, False, taken(node))
        elif is_walk(node):
            yield from (Finding("in_place", node, False, held(q)) for q in distributions(node))


def is_walk(node: Any) -> bool:
    """Whether a node is the walk that accepts."""
    return isinstance(node.target, Region) and node.target.data["label"] == "walk"


def taken(node: fx.Node) -> str:
    """What a register takes, and from where."""
    register: Any = node.args[0]
    values = [each for each in node.all_input_nodes if each not in (register, node.kwargs["live"])]
    makers, sizes = dict.fromkeys(told(maker(each)) for each in values), [size for each in values for size in sizes_of(each)]
    return f"{called(register)} takes what {' and '.join(makers)} made, {' and '.join(sizes)}"


def sizes_of(value: fx.Node) -> list[str]:
    """The types of the tensors in a value."""
    example = value.meta["example"]
    return [value.meta["type"]] if isinstance(example, Tensor) else [type_of(leaf, 0) for leaf in leaves(example)]


def distributions(walk: fx.Node) -> Iterator[fx.Node]:
    """Those of the draft that a walk reads, where its rule asks for them."""
    region: Any = walk.target
    names, first = region.data["given"], len(region.carried)
    for place, name in enumerate(names):
        if name == "q" and not region.data.get("greedy") and region.captures[place].users:
            yield walk.args[first + place]  # type: ignore[misc]


def held(q: fx.Node) -> str:
    """That every level's distributions outlive it."""
    return f"the draft's distributions are made anew, {q.meta['type']}: the walk reads those of every level"
