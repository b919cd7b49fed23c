"""Ops by their meanings, where no meaning may ask what a tensor holds."""

from collections.abc import Sequence
from typing import Any

from torch import fx

from penstock.backends.interpret import Interpreter
from penstock.ir.lift import mapping


class Blind(Interpreter):
    """Runs a captured graph while it is traced into tensor operations."""

    def run(self, graph: fx.Graph, args: Sequence[Any]) -> tuple[Any, ...]:
        with mapping():
            return super().run(graph, args)
