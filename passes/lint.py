"""What every pass must leave true: handles are linear, types hold, and ops that say nothing of rows act on each row alone."""

from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from penstock.ir.example import made_of_examples, valued
from penstock.ir.op import Op
from penstock.ir.region import Region
from penstock.ir.rows import Rows, take
from penstock.ir.show import HANDLES, is_result
from penstock.ir.trace import unwrap
from penstock.ir.types import EXAMPLE_ROWS, type_of


class LintError(AssertionError):
    """A graph that breaks a rule all graphs obey: a mistake of a pass or an op, not of a user."""


def linear(graph: fx.Graph) -> None:
    """Each version of a handle is consumed at most once, and borrowed only before that."""
    consumed: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node.op in ("placeholder", "output") or is_result(node):
            continue
        if isinstance(node.target, Region):
            linear(node.target.graph)
        for used in node.all_input_nodes:
            if used.meta.get("type") not in HANDLES:
                continue
            if used in consumed:
                raise LintError(f"{node.name} reads {used.name}, which {consumed[used].name} has consumed")
            if used in consumes(node):
                consumed[used] = node


def consumes(node: fx.Node) -> list[Any]:
    """The handle versions that a node replaces."""
    target = node.target
    if isinstance(target, Op):
        return list(node.args[: target.consumes])
    if isinstance(target, Region):
        return [a for a in node.args[: len(target.carried)] if isinstance(a, fx.Node) and a.meta.get("type") in HANDLES]
    return []


def typed(graph: fx.Graph) -> None:
    """The type that every tensor node has is the one that its op gives it on its arguments' examples."""
    for node in graph.nodes:
        if isinstance(node.target, Region):
            typed(node.target.graph)
        if not isinstance(node.target, Op) or node.target.category != "tensor":
            continue
        args, kwargs = unwrap(fx.node.map_arg((node.args, node.kwargs), lambda n: n.meta["example"]))
        found, told = type_of(made_of_examples(node.target, args, kwargs), 0), type_of(node.meta["example"], 0)
        if found != told:
            raise LintError(f"{node.name} is {found}, and was said to be {told}")


def row_wise(graph: fx.Graph) -> int:
    """Run tensor nodes on the example's rows in another order: the answer must be the same rows in that order.

    Returns how many nodes were tried. Random, state and forward ops are row-wise by address and by handle; not tried here.
    """
    order, tried = torch.arange(EXAMPLE_ROWS).flip(0), 0
    for node in graph.nodes:
        if isinstance(node.target, Region):
            tried += row_wise(node.target.graph)
            continue
        if (
            node.op == "call_function"
            and isinstance(node.target, Op)
            and node.target.category == "tensor"
            and not node.target.couples_rows
        ):
            args = valued(unwrap(fx.node.map_arg((node.args, node.kwargs), lambda n: n.meta["example"])))
            if any(isinstance(leaf, Rows) for leaf in pytree.tree_leaves(args)):
                continue
            there = node.target.meaning(*take(args[0], order), **take(args[1], order))
            here = take(node.target.meaning(*args[0], **args[1]), order)
            for a, b in zip(pytree.tree_leaves(there), pytree.tree_leaves(here), strict=True):
                if isinstance(a, Tensor) and not torch.equal(a.nan_to_num(), b.nan_to_num()):
                    raise LintError(
                        f"{node.name} couples the rows of its batch and does not say so (stage {node.meta.get('stage')})"
                    )
            tried += 1
    return tried
