"""What a step in lockstep keeps on the device: what is drawn is fed to the next forward there, and the host reads once, last.

Each draw's look at what came of it is put off until the walk's block of integers is read, which tells of all draws. What the host
has to know of the step besides, such as a Decision, is in that block too, if no host op stands between.
"""

import operator
from itertools import takewhile

from torch import Tensor, fx
from torch.utils import _pytree as pytree

from penstock.backends.inductor.layout import few
from penstock.backends.inductor.lockstep import TOKEN, Lockstep
from penstock.backends.inductor.portable import arithmetic, asks
from penstock.ir.draft import stacked
from penstock.ir.op import Op
from penstock.ir.ops.exposed import earliest, fetched, of_live, something, supported, vouched
from penstock.ir.ops.sequence import get, put
from penstock.ir.region import Region
from penstock.ir.trace import unwrap
from penstock.ir.types import type_of
from penstock.passes.expose_noise import recorded
from penstock.passes.lint import consumes


def hold(graph: fx.Graph) -> None:
    """Keep what is drawn before a walk in lockstep on the device; the walk hands on what the host has to know of it."""
    walk = next((node for node in graph.nodes if isinstance(node.target, Lockstep)), None)
    if walk is None:
        return
    before = list(takewhile(lambda node: node is not walk, graph.nodes))
    draws = [node for node in before if node.target is supported and node.args[0].target is earliest]
    stages, drawn = tuple(node.args[1] for node in draws), tuple(held(graph, node) for node in draws)
    if draws:
        vouch(graph, walk, drawn, stages)
    for sure in [node for node in graph.nodes if node.target is supported and node not in before]:
        go_on(graph, walk, sure)
    resident = on_device(graph)
    for node in before:
        if node in resident and few(node) and (late := [user for user in node.users if of_host(user) and user not in before]):
            known = tell(graph, walk, node)
            for user in late:
                user.replace_input_with(node, known)


def held(graph: fx.Graph, node: fx.Node) -> fx.Node:
    """What was drawn, `NOTHING` among it; whoever read the token reads one that can be looked up whatever it is."""
    with graph.inserting_before(node):
        drawn = recorded(graph, node, of_live, (node.args[0], node.kwargs["live"]))
        token = recorded(graph, node, something, (drawn,))
    node.replace_all_uses_with(token)
    graph.erase_node(node)
    return drawn


def vouch(graph: fx.Graph, walk: fx.Node, drawn: tuple[fx.Node, ...], stages: tuple[str, ...]) -> None:
    """Have the host look at what was drawn before a walk when it looks at the walk's own tokens."""
    with graph.inserting_before(walk):
        known = tell(graph, walk, recorded(graph, walk, stacked, drawn))
    for token in [user for user in walk.users if user.args[1] == TOKEN]:
        with graph.inserting_after(max(token, known)):
            sure = recorded(graph, token, vouched, (token, known, stages))
        token.replace_all_uses_with(sure, delete_user_cb=lambda user, sure=sure: user is not sure)


def go_on(graph: fx.Graph, walk: fx.Node, sure: fx.Node) -> None:
    """Have arithmetic behind a walk read its tokens as the device has them, so that it need not wait for the host's look."""
    after = [user for user in sure.users if arithmetic(user)]
    token = next((user for user in walk.users if user.args[1] == TOKEN), None)
    if after and token is not None:
        with graph.inserting_after(token):
            drawn = recorded(graph, token, something, (token,))
        for user in after:
            user.replace_input_with(sure, drawn)


def tell(graph: fx.Graph, walk: fx.Node, value: fx.Node) -> fx.Node:
    """A value from before a walk, as the walk hands it on."""
    example, results = value.meta["example"], walk.meta["example"]
    walk.update_kwarg("told", (*walk.kwargs.get("told", ()), value))  # type: ignore[misc]
    walk.meta["example"] = (*results, example)
    with graph.inserting_after(walk):
        known = graph.call_function(operator.getitem, (walk, len(results)))
    known.meta.update(walk.meta, example=example, type=type_of(example, 0))
    return known


def on_device(graph: fx.Graph) -> set[fx.Node]:
    """What a device makes before the host has read the step: what models answer, and what only arithmetic makes of it."""
    made, walked, read = set[fx.Node](), set[fx.Node](), set[fx.Node]()
    for node in graph.nodes:
        given = node.all_input_nodes
        if isinstance(node.target, Lockstep) or any(x in walked for x in given):
            walked.add(node)
        if of_host(node) and node in walked or any(x in read for x in given):
            read.add(node)
        elif answered(node) or node in walked or not (of_host(node) or known(node)) and any(x in made for x in given):
            made.add(node)
    return made


def answered(node: fx.Node) -> bool:
    """Whether a node is what a forward, or a region that may hold one, answers besides handles; in a body, what comes of them."""
    if node.op == "placeholder":
        example = node.meta.get("example")
        return node.meta.get("resident", False) or isinstance(example, Tensor) and example.is_floating_point()
    if node.target is get:
        return not few(node) and not written_by_host(node.args[0])  # type: ignore[arg-type]
    if node.target is not operator.getitem or not isinstance(node.args[0], fx.Node):
        return False
    source, leaves = node.args[0], pytree.tree_leaves(node.meta["example"])
    answers = isinstance(source.target, Op) and source.target.category == "forward" or isinstance(source.target, Region)
    return answers and not of_host(source) and bool(leaves) and all(isinstance(leaf, Tensor) for leaf in leaves)


def written_by_host(register: fx.Node) -> bool:
    """Whether all that a step puts into a register is what a host op gives."""
    values = [user.args[1] for user in register.users if user.target is put]
    made = [value.args[0] if value.target is operator.getitem else value for value in values]  # type: ignore[union-attr]
    return all(isinstance(each, fx.Node) and of_host(each) for each in made)


def known(node: fx.Node) -> bool:
    """Whether a node picks few numbers from what a register carries: they were in the block of the step before."""
    source = node.args[0] if node.target is operator.getitem else None
    return isinstance(source, fx.Node) and source.target is get and few(node)


def of_host(node: fx.Node) -> bool:
    """Whether a node is the host's work: it asks what tensors hold, changes a handle, or is a walk that is no lockstep."""
    if isinstance(node.target, Region):
        return node.target.data.get("label") == "walk"
    if not isinstance(node.target, Op):
        return False
    keeps = node.target.category == "state" and bool(consumes(node))
    return node.target.category == "host" or keeps or asks(node)


def bodies(graph: fx.Graph) -> list[fx.Node]:
    """The regions of a step that hold work of any kind, such as what runs for some rows only; a walk has ways of its own."""
    return [node for node in graph.nodes if isinstance(node.target, Region) and not of_host(node)]


def fetch(graph: fx.Graph, values: list[fx.Node]) -> None:
    """Have the host read once what several of its ops ask of a device, where no region gives it."""
    for value in values:
        if asking := [user for user in value.users if of_host(user)]:
            with graph.inserting_after(value):
                read = recorded(graph, asking[0], fetched, (value,))
            value.meta["resident"] = False
            for user in asking:
                user.replace_input_with(value, read)


def lies(node: fx.Node) -> bool:
    """Whether a value lies on the device when its readers come."""
    return bool(node.meta.get("device", False))


def reads(graph: fx.Graph) -> list[str]:
    """What of a device the host waits for in a step, and who needs it: blocks of regions, and tensors that a host op looks into.

    A stage is told by its name, or by its kind where a node runs it for another; what a body reads, it reads only if it is run.
    """
    blocks, found = dict[int, set[str]](), list[str]()
    for node in graph.nodes:
        number = node.meta.get("region")
        if number is not None and few(node) and not node.meta.get("resident"):
            asking = {unwrap(user.args[0]).kind if asks(user) else user.meta["stage"] for user in node.users if of_host(user)}
            blocks[number] = blocks.get(number, set()) | asking
        if isinstance(node.target, Op) and node.target.category == "host":
            seen = [used for used in node.all_input_nodes if lies(used) and (node.target is fetched or not few(used))]
            found += [f"{used.meta['type']}, for {node.meta['stage']}" for used in seen]
    told = [f"the block of region {number}, for {', '.join(sorted(who))}" for number, who in sorted(blocks.items()) if who]
    inner = [f"in {node.target.__name__}, {each}" for node in bodies(graph) for each in reads(node.target.graph)]  # type: ignore[union-attr]
    return [*told, *found, *inner]
