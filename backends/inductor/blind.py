"""Ops by their meanings, where no meaning may ask what a tensor holds."""

from typing import Any

from torch import fx

from penstock.backends.interpret import Interpreter
from penstock.ir.lift import Asked, atomic, vectorised
from penstock.ir.op import Op


class Blind(Interpreter):
    """Runs a captured graph while it is traced into tensor operations."""

    def op(self, op: Op, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return mapped(*args, **kwargs) if op is atomic else op.meaning(*args, **kwargs)


def mapped(stage: Any, method: str, *args: Any, lead: int = 2, asked: Asked = ()) -> Any:
    """`atomic`, a single site mapped like many: written for one, a method may branch on what it reads there."""
    return vectorised(stage, method, args, lead, asked, mapped=True)
