"""Which nodes of a step run on the device: what draws are made from, up to the draws, in as few regions as the step has waits.

A region's nodes may wait for the same things of the host: its number is how often, before it, the host has waited for a region.
Each node goes as late as its readers allow, so what only a walk reads is made inside the walk's region.
"""

from collections.abc import Callable, Collection
from operator import getitem
from typing import Any

from torch import fx
from torch.utils import _pytree as pytree

from penstock.backends.inductor.layout import few, small
from penstock.backends.inductor.lockstep import Lockstep
from penstock.backends.inductor.portable import arithmetic, feeds, portable
from penstock.backends.inductor.resident import answered, bodies, fetch, known, lies, of_host, on_device
from penstock.backends.inductor.sites import Composing
from penstock.ir.op import Op
from penstock.ir.ops.exposed import earliest
from penstock.ir.ops.logits import top_k, top_p
from penstock.ir.ops.rows import in_every_row
from penstock.ir.region import Region
from penstock.passes.lint import consumes

Make = Callable[[fx.Graph, list[fx.Node], list[fx.Node], str], Any]
"""A region, of its graph, what it reads, what of it is read, and its stage."""


SORTING = frozenset((top_k, top_p))
"""What the host has kernels for that do without a sort, and compiled code sorts a vocabulary for."""


def mark(graph: fx.Graph, outside: Collection[Op] = ()) -> None:
    """Give every node of a region its region's number, as metadata ``region``; ops ``outside`` stay out of them."""
    inside = captured(graph, outside)
    numbers, groups = grouped(graph, inside)
    while idle := [node for group in groups.values() if not any(map(drawn, group)) for node in group]:
        inside -= set(idle)  # nothing is drawn there: a region of its own would only be one more to wait for
        numbers, groups = grouped(graph, inside)
    for node in inside:
        node.meta["region"] = numbers[node]


def mark_resident(graph: fx.Graph) -> None:
    """The same where nobody waits for a draw: integers stay on the device, ``resident``, unless the host has to know them.

    All that lies on the ``device`` when its readers come has that as metadata too.
    """
    device = on_device(graph)
    inside = captured(graph, (), device)
    numbers, groups = grouped(graph, inside)
    last = {number for number, group in groups.items() if any(isinstance(node.target, Lockstep) for node in group)}
    staying = set[fx.Node]()
    for node in graph.nodes:
        if node in inside:
            node.meta["region"] = numbers[node]
            stays = numbers[node] not in last and not any(map(of_host, node.users))  # what a walk gives is the block that is read
        else:
            stays = answered(node) or node in device and any(used in staying for used in node.all_input_nodes)
        if stays or node in inside and not few(node):
            staying.add(node)
            node.meta["resident"] = few(node)
        node.meta["device"] = node in staying or not (of_host(node) or known(node)) and any(map(lies, node.all_input_nodes))
    fetch(graph, [node for node in graph.nodes if lies(node) and few(node) and node not in inside])
    for node in bodies(graph):
        region: Region = node.target  # type: ignore[assignment]
        for given, inner in zip(node.args, [*region.carried, *region.captures], strict=True):
            if isinstance(given, fx.Node):
                inner.meta["resident"] = given.meta.get("resident", False)
        mark_resident(region.graph)


def capture(graph: fx.Graph, make: Make) -> fx.Graph:
    """The same step with every region that was marked as one node."""
    inside = {node for node in graph.nodes if "region" in node.meta}
    numbers, groups = grouped(graph, inside)
    new, values, held = fx.Graph(), dict[fx.Node, fx.Node](), set(bodies(graph))
    for node in sorted(graph.nodes, key=lambda node: (numbers[node], node in inside)):
        if node not in inside:
            values[node] = new.node_copy(node, values.__getitem__)
            if node in held:
                values[node].target = with_body(node.target, make)  # type: ignore[arg-type]
        elif node is groups[numbers[node]][0]:
            place(new, groups[numbers[node]], values, make)
    return new


def with_body(region: Region, make: Make) -> Region:
    """The region with what is marked in its body captured."""
    old, new = region.graph, capture(region.graph, make)
    places = dict(zip(old.find_nodes(op="placeholder"), new.find_nodes(op="placeholder"), strict=True))
    lead, carried, captures = ([places[node] for node in nodes] for nodes in (region.lead, region.carried, region.captures))
    return Region(region.kind, new, lead, carried, captures, region.data)


def captured(graph: fx.Graph, outside: Collection[Op] = (), device: Collection[fx.Node] = ()) -> set[fx.Node]:
    """The draws, and what only tensor arithmetic leads to them; what is on the ``device`` also where the host asks for it."""
    found: set[fx.Node] = set()
    for node in reversed(list(graph.nodes)):
        readers = [user in found for user in node.users]
        asked = any(map(small, pytree.tree_leaves(node.meta.get("example")))) and any(user not in device for user in node.users)
        leads = (portable(node) or isinstance(node.target, Composing)) and node.target not in outside and any(readers)
        stays = node in device and arithmetic(node) and (any(readers) or asked or feeds(node))
        if drawn(node) or leads or stays or node.target is in_every_row and readers and all(readers):
            found.add(node)
    return found | {user for node in found if isinstance(node.meta.get("example"), tuple) for user in node.users}


def drawn(node: fx.Node) -> bool:
    """Whether a node is a draw, a walk, or a result of a walk."""
    source = node.args[0] if node.target is getitem else node
    return node.target is earliest or isinstance(source, fx.Node) and isinstance(source.target, Lockstep)


def grouped(graph: fx.Graph, inside: set[fx.Node]) -> tuple[dict[fx.Node, int], dict[int, list[fx.Node]]]:
    """Every node's number, and the captured nodes of each region in order."""
    numbers, groups = numbered(graph, inside), dict[int, list[fx.Node]]()
    for node in graph.nodes:
        if node in inside:
            groups.setdefault(numbers[node], []).append(node)
    return numbers, groups


def numbered(graph: fx.Graph, inside: set[fx.Node]) -> dict[fx.Node, int]:
    """How many regions are waited for before each node; for a captured one, before its region."""
    number: dict[fx.Node, int] = {}
    for node in graph.nodes:
        borrowers = [user for handle in consumes(node) for user in handle.users if user in number]  # they come before
        read = [*node.all_input_nodes, *borrowers, *(number if node.op == "output" else ())]
        number[node] = max((number[used] + (used in inside and node not in inside) for used in read), default=0)
    for node in reversed(list(graph.nodes)):
        if node in inside and not drawn(node) and node.target is not getitem and all(user in inside for user in node.users):
            number[node] = min(number[user] for user in node.users)
    return number


def place(graph: fx.Graph, group: list[fx.Node], values: dict[fx.Node, fx.Node], make: Make) -> None:
    """One node for a group of nodes, and one for each of its results that is read outside."""
    own = set(group)
    reads = list(dict.fromkeys(used for node in group for used in node.all_input_nodes if used not in own))
    gives = [node for node in group if not set(node.users) <= own]
    inner, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in reads:
        copies[node] = inner.placeholder(node.name)
        copies[node].meta.update(node.meta)
    for node in group:
        copies[node] = inner.node_copy(node, copies.__getitem__)
    inner.output(tuple(copies[node] for node in gives))
    made = make(inner, reads, gives, group[-1].meta["stage"])
    region = graph.call_function(made.kernel(), made.arguments([values[node] for node in reads]))
    region.meta.update(group[-1].meta, origin="capture", example=tuple(node.meta["example"] for node in gives))
    for i, node in enumerate(gives):
        values[node] = graph.call_function(getitem, (region, i))
        values[node].meta.update(node.meta)
