"""What an optimisation is, how all of them are run, and the record of what each did and why.

A pass rewrites a step graph in place and tells its findings: what fired where, and what came near and did not, with the reason.
It may only change how tokens are computed, never which: switched off, it changes no token.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import fx

from penstock.ir.errors import PenstockError
from penstock.ir.show import show
from penstock.passes.dead_code import dead_code
from penstock.passes.lint import LintError, linear, typed

VERIFY = "PENSTOCK_VERIFY"
"""The environment variable under which every graph is checked after every pass that changed it."""


@dataclass(frozen=True)
class Finding:
    """One place where a rule fired, or came near."""

    rule: str
    node: fx.Node
    fired: bool
    why: str = ""
    """Why it did not fire; or what it did, where the rule's name does not say it."""

    @property
    def stage(self) -> str:
        """Whose work the place is."""
        return self.node.meta.get("stage") or "step"

    @property
    def source(self) -> str:
        """Where that stage was declared: file, line and column."""
        return str(self.node.meta.get("source") or "")


class Pass(Protocol):
    """A rewriting of step graphs that keeps every token."""

    name: str

    def requires(self, graph: fx.Graph) -> None:
        """What must be true of a graph before; raises LintError."""
        ...

    def run(self, graph: fx.Graph) -> list[Finding]:
        """Rewrite in place; the graph was changed if and only if something fired."""
        ...

    def ensures(self, graph: fx.Graph) -> None:
        """What is true afterwards; raises LintError."""
        ...


@dataclass(frozen=True)
class Ran:
    """What one pass did to one graph."""

    name: str
    findings: Sequence[Finding]
    before: str = ""
    """The graph's text, where it was asked for."""
    after: str = ""

    @property
    def modified(self) -> bool:
        return any(finding.fired for finding in self.findings)


def chosen(passes: Sequence[Pass], without: Collection[str]) -> list[Pass]:
    """The passes that are not switched off. Raises PenstockError for a name that none has."""
    names = [each.name for each in passes]
    for name in without:
        if name not in names:
            raise PenstockError(f"there is no optimisation {name!r} to switch off", fix=f"name one of {', '.join(names)}")
    return [each for each in passes if each.name not in without]


def optimise(graph: fx.Graph, passes: Sequence[Pass], *, telling: bool = False) -> list[Ran]:
    """Run passes in order, in place; ``telling`` keeps the graph's text before and after each."""
    return [applied(each, graph, telling) for each in passes]


def applied(each: Pass, graph: fx.Graph, telling: bool = False) -> Ran:
    """One pass, and what it leaves unread dropped; under `VERIFY` it is held to what it says of itself."""
    verifying = bool(os.environ.get(VERIFY))
    before = show(graph, unfold=verifying, lasting=True) if telling or verifying else ""
    each.requires(graph)
    ran = Ran(each.name, each.run(graph))
    if ran.modified:
        dead_code(graph)
    each.ensures(graph)
    after = show(graph, unfold=verifying, lasting=True) if telling or verifying else ""
    if verifying:
        verify(ran, graph, before, after)
    return Ran(ran.name, ran.findings, before, after)


def verify(ran: Ran, graph: fx.Graph, before: str, after: str) -> None:
    """Raises LintError for a graph that breaks what all graphs obey, or a pass that lies about having changed it."""
    if ran.modified != (before != after):
        raise LintError(f"{ran.name} says that it changed {'something' if ran.modified else 'nothing'}, which is not true")
    if ran.modified:
        graph.lint()
        linear(graph)
        typed(graph)
