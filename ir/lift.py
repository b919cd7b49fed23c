"""Lifting: what a stage writes for one site, on the sites of every row.

Written with penstock ops, a computation is recorded op by op on all sites at once, visible to rules: the ops are polymorphic in
their leading dimensions. Plain torch becomes one atomic op, vectorised with `torch.vmap`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from penstock.ir import tracing
from penstock.ir.errors import PenstockError
from penstock.ir.op import op

Asked = tuple[tuple[str, Any], ...]
"""The fields of a stage that a request sets, and their values ``[b]``."""


class PlainTorch(Exception):
    """Raised while lifting, when a stage leaves penstock's ops."""


@dataclass(frozen=True)
class Bound:
    """A stage, and the traced values of the fields that a request sets."""

    stage: Any
    asked: Asked = ()

    @property
    def whole(self) -> Any:
        """The stage with these values in place."""
        return with_values(self.stage, self.asked)


def with_values(stage: Any, asked: Asked) -> Any:
    """A stage with some of its fields replaced, unchecked."""
    return stage.model_copy(update=dict(asked)) if asked else stage


def lift(bound: Bound, method: str, *args: Any, lead: int = 2) -> Any:
    """``stage.method(*args)`` at every site: op by op where it can be, else as one atomic op.

    ``lead``: the leading dimensions that sites are, ``[b,n]``, or rows alone, ``[b]``.
    """
    tracer = cast(Any, tracing.active())
    mark = next(iter(reversed(tracer.graph.nodes)), None)
    try:
        with tracer.only_ops():
            return getattr(bound.whole, method)(*args)
    except PenstockError:
        raise
    except Exception:  # whatever plain torch does that a trace cannot follow; a mistake shows again below
        for node in reversed(list(tracer.graph.nodes)):
            if node is mark:
                break
            if node.op != "placeholder":
                tracer.graph.erase_node(node)
    options = {"lead": lead} if lead != 2 else {}
    return atomic(bound.stage, method, *args, **options, **asking(bound))


@op()
def atomic(stage: Any, method: str, *args: Any, lead: int = 2, asked: Asked = ()) -> Any:
    """A stage's plain torch at every site: opaque to rules."""
    return vectorised(stage, method, args, lead, asked)


def asking(bound: Bound) -> dict[str, Any]:
    """How an op is told what requests set: not at all where they set nothing."""
    return {"asked": bound.asked} if bound.asked else {}


_ALONE: ContextVar[bool] = ContextVar("alone", default=True)
"""Whether a single site is not mapped: the method as written takes a tenth of the time."""


@contextmanager
def mapping() -> Iterator[None]:
    """Even a single site is mapped, so that a method, which may branch on what it reads there, never sees a number."""
    token = _ALONE.set(False)
    try:
        yield
    finally:
        _ALONE.reset(token)


def vectorised(stage: Any, method: str, args: tuple[Any, ...], lead: int, asked: Asked) -> Any:
    """``method`` mapped over the first ``lead`` dimensions of every tensor among ``args``; ``asked`` has one value a row."""
    if stage.any_lead:
        return getattr(with_values(stage, asked), method)(*args)
    leads = next(x.shape[:lead] for x in pytree.tree_leaves(args) if isinstance(x, Tensor))
    flat = pytree.tree_map(lambda x: x.reshape(-1, *x.shape[lead:]) if isinstance(x, Tensor) else x, args)
    names, values = [name for name, _ in asked], [x.repeat_interleave(leads.numel() // len(x)) for _, x in asked]

    def one(values: list[Tensor], args: tuple[Any, ...]) -> Any:
        return getattr(with_values(stage, tuple(zip(names, values, strict=True))), method)(*args)

    if leads.numel() == 1 and _ALONE.get():
        alone = pytree.tree_map(lambda x: x[0] if isinstance(x, Tensor) else x, (values, flat))
        return pytree.tree_map(lambda x: x.reshape(*leads, *x.shape), one(*alone))
    axes = pytree.tree_map(lambda x: 0 if isinstance(x, Tensor) else None, (values, flat))
    out = torch.vmap(one, in_dims=axes)(values, flat)
    return pytree.tree_map(lambda x: x.reshape(*leads, *x.shape[1:]), out)


def advanced(bound: Bound, state: Any, token: Any, raw: Any) -> Any:
    """Record `advance` of a bound stage."""
    return advance(bound.stage, state, token, raw, **asking(bound))


@op()
def advance(stage: Any, state: Any, token: Tensor, raw: Tensor | None, asked: Asked = ()) -> Any:
    """Path state after one more token ``[b]`` or ``[b,n]``, selected where the raw logits were ``raw``."""
    return vectorised(stage, "step", (state, token, raw), token.dim(), asked)


@op()
def along_paths(
    stage: Any, start: Any, parent_site: Tensor, token: Tensor, raw: Tensor | None, asked: Asked = ()
) -> Any:
    """Path state at every site ``[b,1+n,...]``: the root's, then each node's from its parent site's and its token."""
    rows, nodes = torch.arange(len(parent_site)), token.shape[1]
    states = pytree.tree_map(lambda x: x[:, None].repeat(1, 1 + nodes, *[1] * (x.dim() - 1)), start)
    for i in range(nodes):
        parent = parent_site[:, i]
        before = at_site(states, rows, parent)
        after = advance.meaning(stage, before, token[:, i], None if raw is None else raw[rows, parent], asked)
        pytree.tree_map(lambda x, y, i=i: x[:, 1 + i].copy_(y), states, after)  # joining them would copy each site once a node
    return states


def at_site(states: Any, rows: Tensor, site: Tensor) -> Any:
    """Each row's path state at one of its sites."""
    return pytree.tree_map(lambda x: x[rows, site], states)


HOLDING = (atomic, advance, along_paths)
"""Ops that run what a stage has written."""
