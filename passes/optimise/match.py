"""Matching: a pattern is itself a little graph, written with ops; tensors are variables, literals match constants only."""

import inspect
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from torch import fx

from penstock.ir.op import Op


@dataclass(frozen=True)
class Pattern:
    """One side of an equation, traced on examples of its variables."""

    root: fx.Node
    names: dict[fx.Node, str]
    """The variables that are values of a graph."""

    def try_at(self, node: fx.Node) -> "Match | str":
        """The variables' values where the pattern stands at a node, else why it does not."""
        match = Match()
        return match.differs(self, self.root, node) or match


@dataclass
class Match:
    """What the variables of a pattern stand for, and the nodes that it covers, the root last."""

    values: dict[str, Any] = field(default_factory=dict)
    nodes: list[fx.Node] = field(default_factory=list)

    def differs(self, pattern: Pattern, p: Any, g: Any) -> str:
        """Why a node or an argument is not what the pattern has there; nothing where it is."""
        if isinstance(p, fx.Node) and p in pattern.names:
            return self.bound(pattern.names[p], g)
        if isinstance(p, Literal):
            return self.bound(p.name, g) if is_constant(g, p.kind) else f"{word(g)} stands where it needs a constant"
        if isinstance(p, fx.Node):
            return self.covers(pattern, p, g)
        if isinstance(p, tuple | list) and isinstance(g, tuple | list) and len(p) == len(g):
            return next((why for a, b in zip(p, g, strict=True) if (why := self.differs(pattern, a, b))), "")
        return "" if is_constant(g, type(p)) and p == g else f"{word(g)} stands where it needs {word(p)}"

    def covers(self, pattern: Pattern, p: fx.Node, g: Any) -> str:
        if not isinstance(g, fx.Node) or g.target != p.target:
            return f"{word(g)} stands where it needs {word(p)}"
        wanted, found = arguments(p), arguments(g)
        if "live" in found and wanted.get("live") is None:  # of random ops: whoever is live
            self.values["live"] = found["live"]
            wanted, found = without_live(wanted), without_live(found)
        if wanted.keys() != found.keys():
            return f"{word(g)} is called with {', '.join(found)}"
        for name, inner in wanted.items():
            if why := self.differs(pattern, inner, found[name]):
                return why
        self.nodes.append(g)
        return ""

    def bound(self, name: str, value: Any) -> str:
        if name in self.values and self.values[name] is not value and self.values[name] != value:
            return f"{word(value)} is not the same {name} as {word(self.values[name])}"
        self.values[name] = value
        return ""

    def other_readers(self) -> Iterator[tuple[fx.Node, fx.Node]]:
        """``(inner node, reader)`` for every reader from outside of what would be inside."""
        for node in self.nodes[:-1]:
            yield from ((node, user) for user in node.users if user not in self.nodes)


class Literal:
    """A constant in a pattern that stands for any of its kind; a number or a word itself, so that patterns may reckon with it."""

    name: str
    kind: type


@lru_cache
def literal_of(kind: type) -> type:
    """Literals of one kind."""
    return type("Literal", (Literal, kind), {"kind": kind})


def literal(name: str, kind: type, sample: Any) -> Any:
    """The literal of this name; ``sample`` is what it is while a pattern is traced."""
    made = literal_of(kind)(sample)
    made.name = name
    return made


def is_constant(value: Any, kind: type) -> bool:
    """Whether an argument is a number or a word, not a value of the graph."""
    if kind in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, int | float if kind is float else kind)


def arguments(node: fx.Node) -> dict[str, Any]:
    """A node's arguments by parameter, however they were given; those that say nothing left out."""
    bound = parameters(node.target).bind_partial(*node.args, **node.kwargs).arguments
    return {name: value for name, value in bound.items() if value is not None and value != {}}


@lru_cache(maxsize=1024)
def parameters(target: Any) -> inspect.Signature:
    """The signature of an op, or of a function."""
    meaning: Callable[..., Any] = target.meaning if isinstance(target, Op) else target
    return inspect.signature(meaning)


def without_live(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != "live"}


def word(value: Any) -> str:
    """How an argument is called in a reason."""
    if not isinstance(value, fx.Node):
        return repr(value)
    if value.target is operator.getitem and isinstance(value.args[0], fx.Node):
        return word(value.args[0])
    return value.name if value.op == "placeholder" else str(getattr(value.target, "__name__", value.target))
