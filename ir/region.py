"""Regions: a graph run by a node - again and again, on some rows only, or once under a name of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from torch import fx

from penstock.ir import tracing


@dataclass(frozen=True, eq=False)
class Region:
    """A node's target that holds a graph.

    ``repeat`` runs it ``data["times"]`` times, its outputs carried; ``cond_rows`` runs it where some row is marked by its first
    capture; ``call`` runs it once.
    """

    kind: str
    graph: fx.Graph
    lead: list[fx.Node]
    """Parameters the region itself supplies: the iteration of a repeat."""
    carried: list[fx.Node]
    """Parameters replaced by the outputs, in order: values first, then handles."""
    captures: list[fx.Node]
    """Parameters taken from outside and only read."""
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def __name__(self) -> str:
        return str(self.data.get("label", self.kind))

    @property
    def __module__(self) -> str:  # type: ignore[override]
        return "penstock"

    def __call__(self, *args: Any) -> Any:
        raise RuntimeError(f"the region {self.__name__} is run by a backend, not called")

    def bind(self, carried: Sequence[Any], captures: Sequence[Any], lead: Sequence[Any] = ()) -> list[Any]:
        """The arguments of the inner graph's placeholders, in their order."""
        values = dict(zip(self.lead, lead, strict=True)) | dict(zip(self.carried, carried, strict=True))
        values |= dict(zip(self.captures, captures, strict=True))
        return [values[node] for node in self.graph.nodes if node.op == "placeholder"]


def repeat(
    times: int,
    body: Callable[..., Any],
    carry: Sequence[Any],
    *,
    label: str = "repeat",
    given: dict[str, Any] | None = None,
    **data: Any,
) -> list[Any]:
    """``carry = body(i, *carry)`` for i below ``times``; with a live mask among the carry it is the bounded while."""
    tracer = cast(Any, tracing.active())
    return cast(list[Any], tracer.region("repeat", body, carry, leading=(0,), given=given, times=times, label=label, **data))


def cond_rows(mask: Any, body: Callable[..., Any], carry: Sequence[Any], *, label: str = "cond_rows") -> list[Any]:
    """``carry = body(*carry)`` on the live rows where ``mask [b]`` holds: only they are live inside, others keep their values.

    Where there is no such row the body is not run at all.
    """
    from penstock.ir.ops.rows import select_rows  # an op needs the tracer's protocol, which needs nothing of regions

    tracer = cast(Any, tracing.active())
    rows = mask if tracer.live is None else tracer.live & mask

    def narrowed(*carried: Any) -> Any:
        tracer.live = rows
        return [select_rows(rows, new, old) for new, old in zip(body(*carried), carried, strict=True)]

    return cast(list[Any], tracer.region("cond_rows", narrowed, carry, given={"rows": rows}, label=label))


def call(body: Callable[..., Any], carry: Sequence[Any], *, label: str, **data: Any) -> list[Any]:
    """``body(*carry)`` once, printed under its label: an inner pipeline."""
    tracer = cast(Any, tracing.active())
    return cast(list[Any], tracer.region("call", body, carry, label=label, **data))


def copied(graph: fx.Graph) -> fx.Graph:
    """A graph of its own, regions at any depth and their data included."""
    return with_values(graph)[0]


def with_values(graph: fx.Graph) -> tuple[fx.Graph, dict[fx.Node, Any]]:
    """`copied`, and the copy of every node."""
    new, values = fx.Graph(), dict[fx.Node, Any]()
    new.output(new.graph_copy(graph, values))
    for node in new.nodes:
        if isinstance(node.target, Region):
            region, (inner, moved) = node.target, with_values(node.target.graph)
            lead, carried, captures = ([moved[n] for n in nodes] for nodes in (region.lead, region.carried, region.captures))
            node.target = Region(region.kind, inner, lead, carried, captures, dict(region.data))
    return new, values
