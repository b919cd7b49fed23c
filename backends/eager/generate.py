"""Generate Python for a step graph: one line a node, values freed after their last use, no interpreter on the hot path."""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import fx

from penstock.ir.op import Op
from penstock.ir.region import Region
from penstock.ir.trace import Constant

Step = Callable[..., tuple[Any, ...]]
RegionKernel = Callable[[Region], Callable[..., Any]]


class Source:
    """The text of one function and the objects that its names stand for."""

    def __init__(self, kernels: Mapping[Op, Callable[..., Any]], regions: Mapping[str, RegionKernel]) -> None:
        self.kernels, self.regions = kernels, regions
        self.names: dict[str, Any] = {}
        self.lines: list[str] = []

    def bind(self, value: Any, hint: str) -> str:
        """A name for an object of the generated module."""
        name = re.sub(r"\W", "_", f"{hint}__{len(self.names)}")  # node names never hold two underscores
        self.names[name] = value
        return name

    def argument(self, value: Any) -> str:
        if isinstance(value, fx.Node):
            return value.name
        if isinstance(value, Constant):
            return self.bind(value.value, "constant")
        if isinstance(value, tuple):
            return "(" + "".join(self.argument(v) + ", " for v in value) + ")"
        if isinstance(value, list):
            return "[" + ", ".join(self.argument(v) for v in value) + "]"
        return repr(value) if isinstance(value, int | float | bool | str | type(None)) and value == value else self.bind(value, "constant")

    def call(self, node: fx.Node) -> str:
        args = [self.argument(a) for a in node.args]
        named = [f"{k}={self.argument(v)}" for k, v in node.kwargs.items()]
        target = node.target
        if node.op == "call_method":
            return f"{args[0]}.{target}({', '.join(args[1:] + named)})"
        if target is operator.getitem and len(args) == 2:
            return f"{args[0]}[{args[1]}]"
        return f"{self.function(target)}({', '.join(args + named)})"

    def function(self, target: Any) -> str:
        if isinstance(target, Op):
            return self.bind(self.kernels.get(target, target.meaning), target.name)
        if isinstance(target, Region):
            return self.bind(self.region(target), target.__name__)
        return self.bind(target, getattr(target, "__name__", "function"))

    def region(self, region: Region) -> Callable[..., Any]:
        if region.data["label"] in self.regions:
            return self.regions[region.data["label"]](region)
        body = compiled(region.graph, self.kernels, self.regions)
        count, times = len(region.carried), region.data.get("times", 1)

        def run(*args: Any) -> Any:
            carried = args[:count]
            if region.kind == "cond_rows" and not bool(args[count].any()):  # no row is meant
                return carried
            for i in range(times):
                carried = body(*region.bind(carried, args[count:], (i,) if region.lead else ()))
            return carried

        return run


def compiled(graph: fx.Graph, kernels: Mapping[Op, Callable[..., Any]], regions: Mapping[str, RegionKernel]) -> Step:
    """The graph as one Python function of its placeholders."""
    source = Source(kernels, regions)
    params = [n.name for n in graph.nodes if n.op == "placeholder"]
    last_use = {used: node for node in graph.nodes for used in node.all_input_nodes}
    for node in graph.nodes:
        if node.op == "output":
            source.lines.append(f"return {source.argument(node.args[0])}")
        elif node.op != "placeholder":
            source.lines.append(f"{node.name} = {source.call(node)}")
            dead = [used.name for used in node.all_input_nodes if last_use[used] is node]
            if dead:
                source.lines.append(f"del {', '.join(dead)}")
    text = f"def step({', '.join(params)}):\n    " + "\n    ".join(source.lines)
    exec(compile(text, "<penstock step>", "exec"), source.names)
    step: Step = source.names["step"]
    step.__doc__ = text
    return step
