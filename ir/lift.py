"""Lifting: what a stage writes for one site, on the sites of every row.

Written with penstock ops, a computation is recorded op by op on all sites at once, visible to rules: the ops are polymorphic in
their leading dimensions. Plain torch becomes one atomic op, vectorised with `torch.vmap`.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from penstock.ir import tracing
from penstock.ir.op import op


class PlainTorch(Exception):
    """Raised while lifting, when a stage leaves penstock's ops."""


def lift(stage: Any, method: str, *args: Any) -> Any:
    """``stage.method(*args)`` on every site: op by op where it can be, else as one atomic op."""
    tracer = cast(Any, tracing.active())
    if tracer is None:
        return vectorised(stage, method, args)
    mark = next(iter(reversed(tracer.graph.nodes)), None)
    try:
        with tracer.only_ops():
            return getattr(stage, method)(*args)
    except PlainTorch:
        for node in reversed(list(tracer.graph.nodes)):
            if node is mark:
                break
            if node.op != "placeholder":
                tracer.graph.erase_node(node)
    return atomic(tracer.constant(stage), method, *args)


@op()
def atomic(stage: Any, method: str, *args: Any) -> Any:
    """A stage's plain torch on every site: opaque to rules."""
    return vectorised(stage, method, args)


def vectorised(stage: Any, method: str, args: tuple[Any, ...]) -> Any:
    """``method`` mapped over the leading ``[b,n]`` (or ``[b]``) that the last argument's leaves share with the first's."""
    leads = lead_of(args)
    flat = pytree.tree_map(lambda x: x.reshape(-1, *x.shape[len(leads) :]) if isinstance(x, Tensor) else x, args)
    if leads.numel() == 1:  # one site: the method as written, a tenth of what mapping it costs
        alone = pytree.tree_map(lambda x: x[0] if isinstance(x, Tensor) else x, flat)
        return pytree.tree_map(lambda x: x.reshape(*leads, *x.shape), getattr(stage, method)(*alone))
    axes = pytree.tree_map(lambda x: 0 if isinstance(x, Tensor) else None, flat)
    out = torch.vmap(getattr(stage, method), in_dims=axes)(*flat)
    return pytree.tree_map(lambda x: x.reshape(*leads, *x.shape[1:]), out)


def lead_of(args: tuple[Any, ...]) -> torch.Size:
    """The leading dimensions that all tensors among the arguments share: rows, or rows and sites."""
    tensors = [x for x in pytree.tree_leaves(args) if isinstance(x, Tensor)]
    shared = min(min(x.dim() for x in tensors), 2)
    while shared > 1 and len({x.shape[:shared] for x in tensors}) > 1:
        shared -= 1
    return tensors[0].shape[:shared]


@op()
def advance(stage: Any, state: Any, token: Tensor, raw: Tensor | None) -> Any:
    """Path state after one more token ``[b]`` or ``[b,n]``, selected where the raw logits were ``raw``."""
    return vectorised(stage, "step", (state, token, raw) if raw is not None else (state, token, None))


@op()
def along_paths(stage: Any, start: Any, parent_site: Tensor, token: Tensor, raw: Tensor | None) -> Any:
    """Path state at every site ``[b,1+n,...]``: the root's, then each node's from its parent site's and its token."""
    rows = torch.arange(len(parent_site))
    states = pytree.tree_map(lambda x: x[:, None], start)
    for i in range(token.shape[1]):
        parent = parent_site[:, i]
        before = at_site(states, rows, parent)
        after = vectorised(stage, "step", (before, token[:, i], None if raw is None else raw[rows, parent]))
        states = pytree.tree_map(lambda x, y: torch.cat([x, y[:, None]], 1), states, after)
    return states


def at_site(states: Any, rows: Tensor, site: Tensor) -> Any:
    """Each row's path state at one of its sites."""
    return pytree.tree_map(lambda x: x[rows, site], states)
