"""Run a step graph node by node: how regions and handles are executed, once, for every interpreter."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import fx

from penstock.ir.example import evaluated
from penstock.ir.op import Op
from penstock.ir.region import Region
from penstock.ir.trace import unwrap
from penstock.passes.buckets import by_bucket
from penstock.passes.build import StepGraph


class Interpreter:
    """Executes graphs by the ops' meanings; subclasses say what a random op does.

    Environments are a stack, one per nested region, so that a fork of the batch can regather every live value.
    """

    def __init__(self) -> None:
        self.environments: list[dict[Any, Any]] = []

    def run(self, graph: fx.Graph, args: Sequence[Any]) -> tuple[Any, ...]:
        """The graph's outputs for these placeholders."""
        env: dict[Any, Any] = dict(zip((n for n in graph.nodes if n.op == "placeholder"), args, strict=True))
        last_use = {used: node for node in graph.nodes for used in node.all_input_nodes}
        self.environments.append(env)
        for node in graph.nodes:
            if node.op == "placeholder":
                continue
            if node.op == "output":
                self.environments.pop()
                return tuple(unwrap(fx.node.map_arg(node.args[0], lambda n: env[n])))
            env[node] = self.node(node, env)
            for used in node.all_input_nodes:
                if last_use[used] is node:
                    env.pop(used, None)
        raise ValueError("a graph without output")

    def node(self, node: fx.Node, env: dict[Any, Any]) -> Any:
        """The value of one node."""
        args = unwrap(fx.node.map_arg(node.args, lambda n: env[n]))
        kwargs = unwrap(fx.node.map_arg(node.kwargs, lambda n: env[n]))
        target = node.target
        if isinstance(target, Region):
            return self.region(target, node, env, list(args))
        if isinstance(target, Op):
            return self.op(target, node, args, kwargs)
        return evaluated(target, args, kwargs)

    def op(self, op: Op, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return op.meaning(*args, **kwargs)

    def region(self, region: Region, node: fx.Node, env: dict[Any, Any], args: list[Any]) -> list[Any]:
        """Carried values live in ``env[node]`` between iterations, where a fork finds them."""
        count = len(region.carried)
        env[node] = args[:count]
        captured = list(node.args[count:])
        if region.kind == "cond_rows" and not bool(env[captured[0]].any()):
            return env[node]  # type: ignore[no-any-return]
        for i in range(region.data.get("times", 1)):
            captures = unwrap(fx.node.map_arg(captured, lambda n: env[n]))
            carried, env[node] = env[node], []
            env[node] = list(self.run(region.graph, region.bind(carried, captures, (i,) if region.lead else ())))
        return env[node]  # type: ignore[no-any-return]


def interpreted(step: StepGraph) -> Callable[..., tuple[Any, ...]]:
    """A step by the meaning of its ops, one graph a bucket."""
    return by_bucket(step, lambda one: lambda *handles: Interpreter().run(one.graph, handles))
