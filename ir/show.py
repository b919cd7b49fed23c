"""A step graph as text people read and tests compare: one line a node, results named, types at the end, walks folded."""

import operator
from typing import Any

from torch import fx

from penstock.ir.region import Region
from penstock.ir.trace import Constant


def show(graph: fx.Graph, *, unfold: bool = False, lasting: bool = False) -> str:
    """The graph's lines; ``unfold`` prints the bodies of walks too, ``lasting`` names values so that no pass changes it."""
    return "\n".join(lines(graph, "  ", unfold, lasting))


def lines(graph: fx.Graph, indent: str, unfold: bool, lasting: bool = False) -> list[str]:
    names = result_names(graph, lasting)
    out = []
    stage = None
    for node in graph.nodes:
        if node.op == "placeholder" or is_result(node):
            continue
        if node.op == "output":
            out.append(f"{indent}return {', '.join(argument(a, names) for a in node.args[0])}")
            continue
        if node.meta.get("stage") != stage:
            stage = node.meta.get("stage")
            out.append(f"{indent}# {stage or 'step'}{place(node)}")
        out += line(node, names, indent, unfold)
    return out


def place(node: fx.Node) -> str:
    """Where the stage was declared, by file name and line."""
    source = str(node.meta.get("source") or "")
    return f"  {source.rsplit('/', 1)[-1]}" if source else ""


HOW = {"greedy": "by argmax", "fused": "site by site"}
"""What a region's data may say of how it walks."""


def line(node: fx.Node, names: dict[fx.Node, str], indent: str, unfold: bool) -> list[str]:
    """One node, with its region's body where that is not folded."""
    args = ", ".join(
        [argument(a, names) for a in node.args]
        + [f"{k}={argument(v, names)}" for k, v in node.kwargs.items() if k != "live" and v is not None]
    )
    name = getattr(node.target, "__name__", str(node.target))
    origin = f"  <{node.meta['origin']}>" if node.meta.get("origin") else ""
    origin += f"  [region {node.meta['region']}]" if "region" in node.meta else ""
    head = f"{indent}{targets(node, names)} = {name}"
    if not isinstance(node.target, Region):
        return [f"{head}({args}){kind_of(node)}{origin}"]
    region = node.target
    rule = region.data.get("rule")
    how = "".join(f", {said}" for name, said in HOW.items() if region.data.get(name))
    note = f" <{rule.name} for {region.data['law'] or 'no'} draft{how}>" if rule is not None else ""
    times = f" {region.data['times']}" if "times" in region.data else ""
    if rule is not None and not unfold:
        return [f"{head}{times} {{...}}({args}){note}, folded"]
    return [f"{head}{times}({args}){note} {{", *lines(region.graph, indent + "  ", unfold), f"{indent}}}"]


def kind_of(node: fx.Node) -> str:
    """The types of results that are tensors."""
    kinds = [result_type(u) for u in results(node).values()] if results(node) else [str(node.meta.get("type", ""))]
    tensors = [k for k in kinds if "[" in k]
    return f" : {', '.join(tensors)}" if tensors else ""


def result_type(node: fx.Node) -> str:
    return str(node.meta.get("type", ""))


def is_result(node: fx.Node) -> bool:
    """Whether a node only picks one result of another."""
    return (
        node.target is operator.getitem
        and len(node.args) == 2
        and isinstance(node.args[1], int)
        and isinstance(node.args[0], fx.Node)
    )


def results(node: fx.Node) -> dict[int, fx.Node]:
    return {u.args[1]: u for u in node.users if is_result(u) and u.args[0] is node}  # type: ignore[misc]


def targets(node: fx.Node, names: dict[fx.Node, str]) -> str:
    """The names of results; ``_`` for one that nobody reads, ``()`` where there is nothing to read."""
    picked = results(node)
    if not picked:
        return names[node]
    return ", ".join(names[picked[i]] if i in picked else unread(node, i) for i in range(max(picked) + 1))


def unread(node: fx.Node, place: int) -> str:
    """A result without a reader: hidden states that a forward was not asked for are none."""
    value = node.meta["example"][place] if "example" in node.meta else None
    return "()" if isinstance(value, tuple) and not value else "_"


def result_names(graph: fx.Graph, lasting: bool = False) -> dict[fx.Node, str]:
    """``%3`` for values, or their nodes' names; handles keep their name and grow a prime with every version."""
    names: dict[fx.Node, str] = {}
    count = 0
    for node in graph.nodes:
        kind = str(node.meta.get("type", ""))
        if node.op == "placeholder" and kind in HANDLES:
            names[node] = node.name
        elif is_result(node) and kind in HANDLES:
            names[node] = primed(node, names)
        elif not (results(node) and not is_result(node)):
            names[node] = f"%{node.name if lasting else count}"
            count += 1
        else:
            names[node] = f"%{node.name}"
    return names


HANDLES = ("Sequence", "View", "Register", "Canvas", "Frontier")


def primed(node: fx.Node, names: dict[fx.Node, str]) -> str:
    """The name of the version that the op or region consumed, which stands where its new version is returned, and a prime."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    place = node.args[1]
    assert isinstance(place, int)
    consumed = source.args[place]
    return names[consumed] + "'" if isinstance(consumed, fx.Node) and consumed in names else f"%{node.name}"


def argument(value: Any, names: dict[fx.Node, str]) -> str:
    if isinstance(value, fx.Node):
        return names.get(value, f"%{value.name}")
    if isinstance(value, Constant):
        return repr(value)
    if isinstance(value, tuple | list):
        return "(" + ", ".join(argument(v, names) for v in value) + ")"
    return repr(value)
