"""Nodes that no row can reach are not scored: the last of a draft, where they are void in every row.

A lookup that finds nothing drafts nothing, and then one column is fed instead of eleven.
"""

from operator import getitem
from typing import Any

from torch import Tensor, fx

from penstock.backends.eager.forward import forward
from penstock.backends.eager.places import Numbers, kernel
from penstock.ir.ops import forward as forwards, rows
from penstock.ir.state import Sequence, View


def forward_reached(
    view: View, seq: Sequence, tokens: Numbers, parents: tuple[int, ...], *, valid: Numbers, live: Numbers
) -> tuple[View, Tensor, Any]:
    """`forward` of the root and of the nodes up to the last that is valid in some row: logits ``[b, 1 + these, v]``."""
    count = max((i + 1 for row in valid for i, there in enumerate(row) if there), default=0)
    fed = [row[:count] for row in tokens] if count else None
    return forward(view, seq, fed, parents[:count], root=True, live=live)


REACHED = kernel(forward_reached)


def reach(walk: fx.Node) -> None:
    """Score only what a walk can reach, where nobody else reads it."""
    token, valid, composed = (walk.kwargs.get(name) for name in ("token", "valid", "composed"))
    if not isinstance(valid, fx.Node) or valid.target is rows.in_every_row:  # all nodes, always
        return
    known = set[fx.Node]()
    for node in walk.graph.nodes:
        if valid in known and draft_alone(node, token) and read_by(node, composed):
            node.target, node.kwargs = REACHED, {"valid": valid, "live": node.kwargs["live"]}
        known.add(node)


def draft_alone(node: fx.Node, token: object) -> bool:
    """Whether a node feeds a view the root and this draft, whose topology is constant, and nothing besides."""
    if node.target is not forwards.forward or len(node.args) != 4 or node.kwargs.keys() - {"root", "live"}:
        return False
    return node.kwargs.get("root") is True and node.args[2] is token and isinstance(node.args[3], tuple)


def read_by(node: fx.Node, composed: object) -> bool:
    """Whether the logits go to these sites alone, and the view is fed nothing more in the step."""
    picked = {user: user.args[1] for user in node.users if user.target is getitem}
    if len(picked) < len(node.users):
        return False
    logits = [reader for user, index in picked.items() if index == 1 for reader in user.users]
    views = [reader for user, index in picked.items() if index == 0 for reader in user.users]
    rest = [reader for user, index in picked.items() if index > 1 for reader in user.users]  # type: ignore[operator]
    keeps = forwards.keep, forwards.keep_first
    return set(logits) == {composed} and all(reader.target in keeps for reader in views) and not rest
