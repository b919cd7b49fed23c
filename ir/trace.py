"""Record a step: ops become nodes, handles are threaded, every node runs once on a small example.

The example types each node (plain torch between ops too), so a mistake is found while tracing, at the author's own line.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx
from torch.fx.proxy import GraphAppendingTracer, Proxy

from penstock.ir.errors import PenstockError
from penstock.ir.example import made_of_examples
from penstock.ir.lift import HOLDING, PlainTorch, atomic
from penstock.ir.op import Op
from penstock.ir.place import author_line, line_in
from penstock.ir.region import Region
from penstock.ir.rows import State
from penstock.ir.types import type_of


class Constant:
    """A Python object (a stage, a rule) among a node's arguments, opaque to fx."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return getattr(self.value, "kind", None) or type(self.value).__name__


class Tracer(GraphAppendingTracer):
    """Builds one step graph over a state whose handles authors only name."""

    def __init__(self, example: State, vocab: int, graph: fx.Graph | None = None) -> None:
        """``graph``: one to add nodes to, instead of a new one."""
        super().__init__(fx.Graph() if graph is None else graph)
        self.stage, self.source, self.origin = "", "", ""
        self.vocab = vocab
        self.versions: dict[str, Any] = {}
        self.live: Any = None
        self._captured: dict[fx.Node, fx.Node] = {}
        self._only_ops = False
        for name, handle in example.items():
            self.versions[name] = self.placeholder(name.replace(":", "_"), handle)

    # --- nodes -------------------------------------------------------------------------------------------------
    def placeholder(self, name: str, value: Any) -> Proxy:
        node = self.graph.placeholder(name)
        node.meta["example"], node.meta["type"] = value, type_of(value, self.vocab)
        return Proxy(node, self)

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, Proxy) and a.node.graph is not self.graph:
            return self._capture(a.node)
        if isinstance(a, Constant):
            return a
        return super().create_arg(a) if _plain(a) else Constant(a)  # a tensor too: kept whole, shared by all rows

    def _capture(self, node: fx.Node) -> fx.Node:
        """A value from outside the region being traced: one more parameter of the region."""
        if node not in self._captured:
            first = next((n for n in self.graph.nodes if n.op != "placeholder"), None)
            place = self.graph.inserting_before(first) if first is not None else self.graph.inserting_after(None)
            with place:
                inner = self.graph.placeholder(node.name)
            inner.meta.update(node.meta)
            self._captured[node] = inner
        return self._captured[node]

    @contextmanager
    def only_ops(self) -> Iterator[None]:
        """Plain torch raises `PlainTorch`: nothing but ops may be recorded inside."""
        saved, self._only_ops = self._only_ops, True
        try:
            yield
        finally:
            self._only_ops = saved

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        if self._only_ops and not isinstance(args[1], Op) and args[1] is not operator.getitem:
            raise PlainTorch(str(args[1]))
        node = super().create_node(*args, **kwargs)
        if node.op not in ("placeholder", "output"):
            node.meta.update(stage=self.stage, source=self.source, origin=self.origin)
            if not isinstance(node.target, Region):
                self._run_example(node)
        return node

    def _run_example(self, node: fx.Node) -> None:
        args = fx.node.map_arg(node.args, lambda n: n.meta["example"])
        kwargs = fx.node.map_arg(node.kwargs, lambda n: n.meta["example"])
        args, kwargs = unwrap(args), unwrap(kwargs)
        try:
            value = made_of_examples(node.target, args, kwargs)
        except PenstockError:
            raise
        except Exception as problem:
            raise self._failed(node, args, problem) from problem
        node.meta["example"], node.meta["type"] = value, type_of(value, self.vocab)

    def _failed(self, node: fx.Node, args: Any, problem: Exception) -> PenstockError:
        """What an author's mistake is told as: a stage's own method by its name, any other op by its types."""
        own = node.target in HOLDING
        line = line_in(problem) if own else author_line()
        where = ", ".join(part for part in (self.source, f"stage {self.stage}" if self.stage else "", line) if part)
        name = getattr(node.target, "__name__", str(node.target))
        types = ", ".join(type_of(a, self.vocab) for a in args if a is not args[0] and not isinstance(a, str) or not own)
        if not own:
            return PenstockError(f"{name}({types}): {problem}", where=where, fix="make the shapes and types agree")
        return PenstockError(
            f"{args[1] if node.target is atomic else 'step'}({types}) cannot be run at one site: {problem}",
            where=where,
            fix="write it for one site, without `if` on tensors, assignment into an argument, or random numbers",
        )

    # --- ops and handles ---------------------------------------------------------------------------------------
    def record(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One node; leading handle names are replaced by their versions, and consumed ones move on."""
        count = op.consumes + op.borrows
        names = args[:count]
        missing = [n for n in names if n not in self.versions]
        if missing:
            raise PenstockError(self._absent(missing[0]), where=self.source or author_line(), fix=f"there are {self._present()}")
        if op.takes_live and "live" not in kwargs:
            kwargs = {**kwargs, "live": self.live}
        handles = tuple(self.versions[n] for n in names)
        out: Any = self.create_proxy("call_function", op, (*handles, *args[count:]), kwargs)
        if not op.consumes:
            return self._unpacked(out)
        for i, name in enumerate(names[: op.consumes]):
            self.versions[name] = out[i]
        rest = len(out.node.meta["example"]) - op.consumes
        results = tuple(self._unpacked(out[op.consumes + i]) for i in range(rest))
        return results[0] if rest == 1 else results or None

    def _absent(self, handle: str) -> str:
        what, _, name = handle.partition(":")
        kind = {"view": "the view", "reg": "the register"}.get(what, "the handle")
        return f"stage {self.stage or '-'} reads {kind} {name or what}, which no stage of this pipeline has"

    def _present(self) -> str:
        return ", ".join(name.partition(":")[2] or name for name in self.versions)

    def _unpacked(self, out: Any) -> Any:
        value = out.node.meta["example"]
        return tuple(out[i] for i in range(len(value))) if type(value) is tuple else out

    # --- regions -----------------------------------------------------------------------------------------------
    @contextmanager
    def stage_of(self, kind: str, source: str = "", origin: str = "") -> Iterator[None]:
        """Nodes recorded inside belong to this stage."""
        saved = self.stage, self.source, self.origin
        self.stage, self.source, self.origin = kind, source or self.source, origin
        try:
            yield
        except PenstockError as error:
            raise error.at(self.source) from error.__cause__
        finally:
            self.stage, self.source, self.origin = saved

    def region(
        self,
        kind: str,
        body: Callable[..., Any],
        carry: Sequence[Any],
        *,
        leading: Sequence[Any] = (),
        given: dict[str, Any] | None = None,
        **data: Any,
    ) -> list[Any]:
        """Trace ``body`` into a graph of its own; values from outside become captures, handles it touches become carried.

        ``given`` names captures that come first and in this order, for backends that replace the region as a whole.
        """
        outer, captured, before, live = self.graph, self._captured, dict(self.versions), self.live
        self.graph, self._captured = fx.Graph(), {}
        try:
            lead = [self.placeholder(f"lead{i}", value) for i, value in enumerate(leading)]
            carried = [self.placeholder(f"c{i}", _example(c)) for i, c in enumerate(carry)]
            names = tuple(name for name, value in (given or {}).items() if isinstance(value, Proxy))
            for name in names:
                self._capture((given or {})[name].node)
            results = body(*lead, *carried)
            changed = [n for n in before if self.versions[n] is not before[n]]
            outputs = [self.create_arg(r) for r in results] + [self.versions[n].node for n in changed]
            own = [self.create_arg(before[n]) for n in changed]
            inner = self.graph
            inner.output(tuple(outputs))
            captures = {outer_node: node for outer_node, node in self._captured.items() if node not in own}
        finally:
            self.graph, self._captured, self.live = outer, captured, live
        inputs = [p.node for p in lead], [p.node for p in carried] + own, list(captures.values())
        region = Region(kind, inner, *inputs, data | {"given": names})
        handles = [before[n] for n in changed]
        out: Any = self.create_proxy("call_function", region, (*carry, *handles, *(Proxy(n, self) for n in captures)), {})
        out.node.meta["example"] = [_node_example(o) for o in outputs]
        out.node.meta["type"] = "(" + ", ".join(type_of(v, self.vocab) for v in out.node.meta["example"]) + ")"
        for i, name in enumerate(changed):
            self.versions[name] = out[len(carry) + i]
        return [out[i] for i in range(len(carry))]

    def finish(self, outputs: Sequence[str]) -> fx.Graph:
        """Close the step: it returns the last version of each handle."""
        self.graph.output(tuple(self.versions[name].node for name in outputs))
        return self.graph


def _plain(a: Any) -> bool:
    """Whether fx may hold this argument as it is."""
    return a is None or isinstance(
        a,
        Proxy | fx.Node | int | float | bool | str | tuple | list | dict | slice | torch.dtype | torch.device | type(Ellipsis),
    )


def unwrap(args: Any) -> Any:
    """Arguments with constants taken out of their wrapping."""
    if isinstance(args, Constant):
        return args.value
    if isinstance(args, tuple | list):
        return type(args)(unwrap(a) for a in args)
    if isinstance(args, dict):
        return {k: unwrap(v) for k, v in args.items()}
    return args


def _example(value: Any) -> Any:
    return value.node.meta["example"] if isinstance(value, Proxy) else value


def _node_example(value: Any) -> Any:
    return value.meta["example"] if isinstance(value, fx.Node) else unwrap(value)
