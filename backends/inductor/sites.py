"""A site's logits composed when the walk comes to it: the others' are never made."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from penstock.backends.eager.lazy import deferred
from penstock.backends.inductor.blind import Blind
from penstock.backends.inductor.portable import arithmetic
from penstock.ir import tracing


class Sites:
    """The composed logits ``[b,sites,v]`` of a draft, by what they are made of."""

    def __init__(self, graph: fx.Graph, made_of: tuple[Any, ...], lead: tuple[int, ...]) -> None:
        self.graph, self.made_of, self.lead = graph, made_of, lead

    def at(self, site: Tensor) -> Tensor:
        """``[b,v]``: each row's at one site; below 0 that is the root."""
        rows, place = torch.arange(len(site)), site.clamp(min=0)
        here = pytree.tree_map(lambda x: x[rows, place][:, None] if x.shape[:2] == self.lead else x, self.made_of)
        return self.run(here)[:, 0]

    def whole(self) -> Tensor:
        """``[b,sites,v]``."""
        return self.run(self.made_of)

    def run(self, inputs: Any) -> Tensor:
        with tracing.recording(None):  # a walk's own way with ops is none of theirs
            composed: Tensor = Blind().run(self.graph, inputs)[0]
        return composed


def leaves_of(values: Sequence[Any]) -> list[Tensor]:
    """The tensors of values, in order; mostly they are tensors, and what takes trees apart is not asked."""
    return list(values) if all(isinstance(x, Tensor) for x in values) else pytree.tree_leaves(values)


class Site(Sites):
    """The same for one row and site after the other, as a walk on the host comes to them."""

    together = False
    """Roots are not composed at once: one compiled shape serves every batch."""

    def __init__(self, graph: fx.Graph, made_of: tuple[Any, ...], lead: tuple[int, ...]) -> None:
        super().__init__(graph, made_of, lead)
        self.leaves = leaves_of(made_of)
        self.of_site = [x.shape[:2] == lead for x in self.leaves]

    def reads(self, b: int, s: int) -> list[Tensor]:
        """What one site is made of: ``[1,1,...]``, or ``[1]`` of what a row has for all of its sites."""
        pairs = zip(self.leaves, self.of_site, strict=True)
        return [x[b : b + 1, s : s + 1] if of_site else x[b : b + 1] for x, of_site in pairs]

    def __call__(self, b: int, s: int) -> tuple[Tensor, None]:
        """Logits ``[v]``, all tokens': what a walk on the host reads of a site."""
        tree = pytree.tree_structure(self.made_of)
        return self.run(pytree.tree_unflatten(self.reads(b, s), tree))[0, 0], None


class Composing:
    """A node's target: makes `Sites` of values; its graph is what shapes a site by that site alone."""

    __name__ = "sites"

    def __init__(self, graph: fx.Graph, made: type[Sites], tree: pytree.TreeSpec) -> None:
        self.graph, self.made, self.tree = graph, made, tree

    def __call__(self, *values: Any) -> Sites:
        lead = next(x.shape[:2] for x in leaves_of(values) if x.dim() > 1)
        return self.made(self.graph, values, lead)


def fixed(late: list[fx.Node]) -> list[fx.Node]:
    """What of these can be compiled: neither what the host answers or has no fixed shape, nor what leads only there."""
    apart = set[fx.Node]()
    for node in reversed(late):
        if not arithmetic(node) or any(user in apart for user in node.users):
            apart.add(node)
    return [node for node in late if node not in apart]


def by_site(composed: fx.Node, made: type[Sites] = Sites) -> fx.Node:
    """A new node that gives ``composed`` site by site; what only it reads is dead from then on."""
    late = fixed(deferred((composed,)))
    inputs = list(dict.fromkeys(used for node in late for used in node.all_input_nodes if used not in late)) or [composed]
    inner = fx.Graph()
    values = {node: inner.placeholder(node.name) for node in inputs}
    for node in late:
        values[node] = inner.node_copy(node, values.__getitem__)
    inner.output((values[composed],))
    tree = pytree.tree_structure(tuple(node.meta["example"] for node in inputs))
    sites = composed.graph.call_function(Composing(inner, made, tree), tuple(inputs))
    sites.meta |= {name: composed.meta[name] for name in ("stage", "source") if name in composed.meta}
    return sites
