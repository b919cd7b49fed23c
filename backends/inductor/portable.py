"""Which nodes a compiled region may hold: arithmetic on tensors, row by row, of shapes that are fixed."""

import operator
from typing import Any

from torch import Tensor, fx
from torch.utils import _pytree as pytree

from penstock.ir import tracing
from penstock.ir.example import valued
from penstock.ir.lift import HOLDING
from penstock.ir.op import Op
from penstock.ir.ops.lookup import text_by_site
from penstock.ir.trace import unwrap


def feeds(node: fx.Node) -> bool:
    """Whether a forward is fed what a node makes."""
    return any(isinstance(user.target, Op) and user.target.category == "forward" for user in node.users)


def portable(node: fx.Node) -> bool:
    """Whether a node is arithmetic on logits or distributions: no handle, no small bookkeeping."""
    made = node.meta.get("example")
    floating = isinstance(made, Tensor) and made.is_floating_point()
    return floating and isinstance(node.target, Op) and arithmetic(node)


def arithmetic(node: fx.Node) -> bool:
    """Whether a node makes tensors of tensors, row by row, and its shapes are fixed."""
    if isinstance(node.target, Op):
        plain = node.target.category == "tensor" and not (node.target.couples_rows or reads_text(node) or asks(node))
    else:
        plain = getattr(operator, getattr(node.target, "__name__", ""), None) is node.target  # written between ops
    values = [node, *node.all_input_nodes]
    return plain and all(isinstance(leaf, Tensor) for used in values for leaf in pytree.tree_leaves(used.meta["example"]))


def reads_text(node: fx.Node) -> bool:
    """Whether a node reads the whole text, which grows, so that none of its shapes is fixed."""
    return any(used.target is text_by_site for used in node.all_input_nodes)


def asks(node: fx.Node) -> bool:
    """Whether a stage's own code, which a node runs, asks the host, as a grammar's does."""
    if node.target not in HOLDING:
        return False
    if "asks" not in node.meta:
        heard = Heard()
        with tracing.recording(heard):
            args, kwargs = valued(unwrap(fx.node.map_arg((node.args, node.kwargs), lambda used: used.meta["example"])))
            node.target.meaning(*args, **kwargs)  # type: ignore[union-attr]
        node.meta["asks"] = heard.host
    return bool(node.meta["asks"])


class Heard:
    """Stands where a tracer would: ops run at once, and whether any was the host's is known after."""

    def __init__(self) -> None:
        self.host = False

    def record(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.host = self.host or op.category == "host"
        return op.meaning(*args, **kwargs)
