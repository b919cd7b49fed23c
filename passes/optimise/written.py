"""Both sides of an equation, as they are written: traced without running anything, replayed into a graph, or printed."""

import operator
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

from torch import fx
from torch.fx.proxy import Proxy

from penstock.ir import tracing
from penstock.ir.op import Op
from penstock.ir.trace import Tracer
from penstock.passes.optimise.match import Literal, literal

Equation = tuple[Any, Any]
"""``(what to look for, what to put)``: one expression of ops, and another or a variable."""
LITERALS = (int, float, str)
map_nodes: Callable[[Any, Callable[[fx.Node], Any]], Any] = fx.node.map_arg


class Written:
    """Both sides of an equation as a graph of their own, in which nothing is run."""

    def __init__(self) -> None:
        self.graph = fx.Graph()
        self.names: dict[fx.Node, str] = {}
        """The variables."""

    def sides(self, equation: Callable[..., Equation], given: Mapping[str, Any]) -> Equation:
        """Both sides; constants among what is given are themselves, all else are variables."""
        arguments = {name: value if isinstance(value, LITERALS) else self.variable(name, value) for name, value in given.items()}
        with tracing.recording(self):
            return equation(**arguments)

    def variable(self, name: str, value: Any) -> fx.Node:
        node = self.graph.placeholder(name)
        self.names[node] = name
        if isinstance(value, fx.Node):
            node.meta["example"] = value.meta["example"]
        return node

    def record(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One node, or one a result."""
        node, result = self.graph.call_function(op, args, kwargs), op.meaning.__annotations__.get("return")
        if get_origin(result) is not tuple:
            return node
        return tuple(self.graph.call_function(operator.getitem, (node, i)) for i in range(len(get_args(result))))


def vocabulary(x: Any) -> int:
    """How many tokens logits ``x`` are of, for a right side to name; where there is no example, a literal V."""
    example = x.meta.get("example") if isinstance(x, fx.Node) else x
    return literal("V", int, 0) if example is None else int(example.shape[-1])


def in_graph(value: Any, tracer: Tracer) -> Any:
    """A matched value as ops take it while they are traced."""
    return map_nodes(value, lambda node: Proxy(node, tracer))


def replayed(side: Any, values: dict[fx.Node, Any]) -> Any:
    """Record what one side of an equation needs, over the values of its variables."""
    if side not in values:
        args, kwargs = map_nodes((side.args, side.kwargs), lambda node: replayed(node, values))
        values[side] = args[0][args[1]] if side.target is operator.getitem else side.target(*args, **kwargs)
    return values[side]


def expression(side: Any) -> str:
    """One side as people write it."""
    if isinstance(side, Literal):
        return side.name
    if isinstance(side, tuple | list):
        return f"({', '.join(map(expression, side))})"
    if not isinstance(side, fx.Node):
        return f"{side:g}" if isinstance(side, float) else repr(side)
    if side.op == "placeholder":
        return side.name
    if side.target is operator.getitem:
        return f"{expression(side.args[0])}[{side.args[1]}]"
    given = [expression(a) for a in side.args] + [f"{name}={expression(a)}" for name, a in side.kwargs.items()]
    return f"{getattr(side.target, '__name__', side.target)}({', '.join(given)})"
