"""Generate Python for a step graph: one line a node, values freed after their last use, no interpreter on the hot path."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, fx

from penstock.backends.eager.clock import IDLE, Tick
from penstock.backends.eager.places import Kernel, Place, code
from penstock.ir.op import Op
from penstock.ir.region import Region
from penstock.ir.trace import Constant

Step = Callable[..., tuple[Any, ...]]
Kernels = Mapping[Op, Sequence[Kernel]]
RegionKernels = Mapping[str, Callable[[Region], Kernel]]


class Source:
    """The text of one function and the objects that its names stand for."""

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels
        self.names: dict[str, Any] = {}
        self.lines: list[str] = []
        self.places: dict[fx.Node, Place] = {}
        """Where a node's value is made, if it is no tensor."""
        self.gives: dict[fx.Node, tuple[Place, ...]] = {}
        self.forms: dict[fx.Node, dict[Place, str]] = {}
        """The names of a value by place, as far as it was wanted there."""

    def bind(self, value: Any, hint: str) -> str:
        """A name for an object of the generated module."""
        name = re.sub(r"\W", "_", f"{hint}__{len(self.names)}")  # node names never hold two underscores
        self.names[name] = value
        return name

    def at(self, node: fx.Node, place: Place) -> str:
        """The name of a value in a place, converted there if it was not wanted there before."""
        home, example = self.places.get(node, "tensor"), node.meta.get("example")
        forms = self.forms.setdefault(node, {home: node.name})
        if not isinstance(example, Tensor):
            return node.name
        if place not in forms:
            if "tensor" not in (home, place):
                forms.setdefault("tensor", self.at(node, "tensor"))
                home = "tensor"
            forms[place] = f"{node.name}__{place}"
            text, names = code(forms[home], home, place, example)
            self.names |= names
            self.lines.append(f"{forms[place]} = {text}")
        return forms[place]

    def argument(self, value: Any, place: Place = "tensor") -> str:
        if isinstance(value, fx.Node):
            return self.at(value, place)
        if isinstance(value, Constant):
            return self.bind(value.value, "constant")
        if isinstance(value, tuple):
            return "(" + "".join(self.argument(v, place) + ", " for v in value) + ")"
        if isinstance(value, list):
            return "[" + ", ".join(self.argument(v, place) for v in value) + "]"
        plain = isinstance(value, int | float | bool | str | type(None)) and value == value
        return repr(value) if plain else self.bind(value, "constant")

    def call(self, node: fx.Node) -> str:
        target = node.target
        if target is operator.getitem and self.unpacks(node):
            return f"{node.args[0]}[{node.args[1]}]"
        if (kernel := self.kernel_of(node)) is not None:
            return self.placed(node, kernel)
        args = [self.argument(a) for a in node.args]
        named = [f"{k}={self.argument(v)}" for k, v in node.kwargs.items()]
        if node.op == "call_method":
            return f"{args[0]}.{target}({', '.join(args[1:] + named)})"
        return f"{self.function(target)}({', '.join(args + named)})"

    def unpacks(self, node: fx.Node) -> bool:
        """Whether the node picks one of several results; then it is where its kernel made it."""
        source = node.args[0]
        if not isinstance(source, fx.Node) or not isinstance(source.meta.get("example"), tuple | list):
            return False
        if source in self.gives:
            self.places[node] = self.gives[source][node.args[1]]  # type: ignore[index]
        return True

    def kernel_of(self, node: fx.Node) -> Kernel | None:
        """The kernel that a node is, or the first that fits its op and types."""
        if isinstance(node.target, Kernel):
            return node.target
        choice = self.kernels.get(node.target, ()) if isinstance(node.target, Op) else ()
        return next((k for k in choice if k.fits(node)), None)

    def placed(self, node: fx.Node, kernel: Kernel) -> str:
        """A kernel's call, every argument where it wants it."""
        self.gives[node] = kernel.gives
        if len(kernel.gives) == 1:
            self.places[node] = kernel.gives[0]
        parts = []
        for name, value in kernel.signature.bind(*node.args, **node.kwargs).arguments.items():
            kind, place = kernel.signature.parameters[name].kind, kernel.place(name)
            if kind is kind.VAR_POSITIONAL:
                parts += [self.argument(v, place) for v in value]
            else:
                parts.append(("" if kind is kind.POSITIONAL_ONLY else f"{name}=") + self.argument(value, place))
        return f"{self.bind(kernel.run, kernel.run.__name__)}({', '.join(parts)})"

    def function(self, target: Any) -> str:
        if isinstance(target, Op):
            return self.bind(target.meaning, target.name)
        if isinstance(target, Region):
            return self.bind(self.region(target), target.__name__)
        return self.bind(target, getattr(target, "__name__", "function"))

    def region(self, region: Region) -> Callable[..., Any]:
        body = compiled(region.graph, self.kernels)
        count, times = len(region.carried), region.data.get("times", 1)

        def run(*args: Any) -> Any:
            carried = args[:count]
            if region.kind == "cond_rows" and not bool(args[count].any()):  # no row is meant
                return carried
            for i in range(times):
                carried = body(*region.bind(carried, args[count:], (i,) if region.lead else ()))
            return carried

        return run

    def free(self, nodes: Sequence[fx.Node]) -> None:
        """Nobody reads these any more, in whatever places they are."""
        dead = [name for node in nodes for name in self.forms.get(node, {"tensor": node.name}).values()]
        if dead:
            self.lines.append(f"del {', '.join(dead)}")


def compiled(graph: fx.Graph, kernels: Kernels, tick: Tick | None = None) -> Step:
    """The graph as one Python function of its placeholders; ``tick`` is told whenever another stage's work begins."""
    source = Source(kernels)
    params = [n.name for n in graph.nodes if n.op == "placeholder"]
    last_use = {used: node for node in graph.nodes for used in node.all_input_nodes}
    at = None
    for node in graph.nodes:
        if tick is not None and (stage := stage_at(node, at)) != at:
            source.lines.append(f"{source.bind(tick, 'tick')}({stage!r})")
            at = stage
        if node.op != "placeholder":
            text = f"return {source.argument(node.args[0])}" if node.op == "output" else f"{node.name} = {source.call(node)}"
            source.lines.append(text)  # now, because an argument may need a line of its own before
        if node.op not in ("placeholder", "output"):
            source.free([used for used in node.all_input_nodes if last_use[used] is node])
    text = f"def step({', '.join(params)}):\n    " + "\n    ".join(source.lines)
    exec(compile(text, "<penstock step>", "exec"), source.names)
    step: Step = source.names["step"]
    step.__doc__ = text
    return step


def stage_at(node: fx.Node, before: str | None) -> str | None:
    """Whose work a node is; what picks from a result goes with what made it."""
    if node.op == "placeholder":
        return None
    return IDLE if node.op == "output" else node.meta.get("stage") or before or "step"
