"""Sites are composed when they are read: what shapes a site's logits by that site alone runs for the one that is asked for.

A walk reads a few sites of a draft. Ops that say so in their types (``*B``: any leading dimensions, each entry by itself) need
not run on the others, and a stage's plain torch, written for one site, runs as it is written. Every walk reads its root, so
candidates of all rows' roots are made at once.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from torch import Tensor, fx
from torch.utils import _pytree as pytree

from penstock.backends.eager.generate import Kernels, compiled
from penstock.backends.eager.places import array
from penstock.ir.lift import Asked, atomic, with_values
from penstock.ir.op import Op
from penstock.ir.ops.candidates import spread_logits
from penstock.passes.dead_code import dead_code
from penstock.passes.optimise.fuse_sampling import narrowed_site


@dataclass(frozen=True, eq=False)
class Sites:
    """A node's target: composed logits of whatever site is asked for, made of what is given by row or by row and site."""

    run: Callable[..., tuple[Tensor, ...]] | None
    """None where nothing is left to do."""
    pick: tuple[Callable[[Any, int, int], Any], ...]
    """How an input is read at a row and a site."""
    together: bool = False
    """Whether the roots of all rows can be composed in one run, as candidates that are as many in each."""

    __name__ = "sites"

    def __call__(self, *values: Any) -> "Site":
        return Site(self, values)


Logits = tuple[Any, Any]
"""Logits ``[k]`` and the ids of their tokens, ascending; ``[v]`` and None where they are of all tokens."""


class Site:
    """``site(b, s)``: the logits of a row and a site; ``site.array(b, s)`` the same as numpy has them."""

    def __init__(self, made: Sites, values: tuple[Any, ...]) -> None:
        self.made, self.values, self.together = made, values, made.together
        self.whole = array(values[0]) if made.run is None else None
        self.composed: tuple[Tensor, ...] | None = None

    def roots(self) -> tuple[Tensor, ...]:
        """Logits and ids ``[b,k]`` of all rows' roots, composed once; where that is possible `together`."""
        if self.composed is None:
            self.composed = self.made.run(*map(at_roots, self.values))  # type: ignore[misc]
        return self.composed

    def __call__(self, b: int, s: int) -> Logits:
        if self.made.run is None:
            return self.values[0][b, s], None
        if s == 0 and self.together:
            logits, ids = self.roots()
            return logits[b], ids[b]
        found = self.made.run(*[pick(value, b, s) for pick, value in zip(self.made.pick, self.values, strict=True)])
        return found if len(found) == 2 else (found[0], None)  # type: ignore[return-value]

    def array(self, b: int, s: int) -> Logits:
        if self.whole is not None:
            return self.whole[b, s], None
        logits, ids = self(b, s)
        return array(logits), None if ids is None else ids.numpy()


def by_site(composed: Sequence[fx.Node], kernels: Kernels, fused: bool = False) -> fx.Node:
    """A new node that gives composed logits, or candidates' logits and ids, site by site; what only it reads is dead afterwards.

    ``fused``: a site may be narrowed to candidates where it comes as all tokens' logits.
    """
    late = deferred(composed)
    inputs = list(dict.fromkeys(used for node in late for used in node.all_input_nodes if used not in late)) or list(composed)
    inner = fx.Graph()
    picks = {node: pick_of(node.meta["example"]) for node in inputs}
    values = {node: inner.placeholder(node.name) for node in inputs}
    for node in late:
        values[node] = inner.node_copy(node, values.__getitem__)
        if node.target is atomic:
            values[node].target = alone
    for node, value in values.items():
        value.meta["example"] = pick_of(node.meta["example"])(node.meta["example"], 0, 0)
    output = inner.output(tuple(values[node] for node in composed))
    if fused and len(composed) == 1:
        narrowed_site(inner, composed[0].meta["example"].shape[-1])
        output.args = (of_candidates(output.args[0][0]),)
        dead_code(inner)
    run = compiled(inner, kernels) if late else None
    together = len(composed) == 2 and all(acts_on_tensors(node.target) for node in late)
    return composed[0].graph.call_function(Sites(run, tuple(picks.values()), together), tuple(inputs))


def of_candidates(logits: fx.Node) -> tuple[fx.Node, ...]:
    """What a site gives: its candidates' logits and ids where it has candidates, else those of all tokens."""
    return (logits,) if logits.target is not spread_logits else logits.args[:2]  # type: ignore[return-value]


def deferred(composed: Sequence[fx.Node]) -> list[fx.Node]:
    """The nodes that may wait until a site is read, in order: nobody but each other and the walk reads them."""
    late = {node for node in composed if sitewise(node, composed[0])}
    for node in reversed(list(composed[0].graph.nodes)):
        if node not in late and node.users and set(node.users) <= late and sitewise(node, composed[0]):
            late.add(node)
    return [node for node in composed[0].graph.nodes if node in late]


def sitewise(node: fx.Node, composed: fx.Node) -> bool:
    """Whether an op acts on each site by itself, and every tensor it reads is by row, or by row and site."""
    if node.target is operator.getitem:  # one of its results
        return isinstance(node.args[0], fx.Node) and sitewise(node.args[0], composed)
    if not isinstance(node.target, Op) or not (node.target is atomic or says_any_lead(node.target)):
        return False
    lead = composed.meta["example"].shape[:2]
    leaves = [leaf for used in node.all_input_nodes for leaf in pytree.tree_leaves(used.meta["example"])]
    return all(isinstance(x, Tensor) and (x.shape[:2] == lead or x.shape == lead[:1]) for x in leaves)


def says_any_lead(op: Op) -> bool:
    """Whether the op's results have the leading dimensions of what it is given, whatever they are."""
    result = op.meaning.__annotations__.get("return")
    dims: list[str] = [getattr(each, "dim_str", "") for each in get_args(result) or (result,)]
    return op.category in ("tensor", "host") and all(each.startswith("*") for each in dims)


def acts_on_tensors(op: Any) -> bool:
    """Whether it is an op of tensors and nothing else, or picks a result: not a stage's own torch, and not asked of the host."""
    return op is operator.getitem or op is not atomic and op.category == "tensor"


def alone(stage: Any, method: str, *args: Any, lead: int = 2, asked: Asked = ()) -> Any:
    """`atomic` at one site: the stage's own method, as written."""
    return getattr(with_values(stage, asked), method)(*args)


def pick_of(example: Any) -> Callable[[Any, int, int], Any]:
    """How to read a value at one row and site, by the example it was typed on."""
    if not isinstance(example, Tensor):
        return lambda value, b, s: pytree.tree_map(lambda x: x[b, s], value)
    return at_site if example.dim() > 1 else at_row


def at_site(value: Tensor, b: int, s: int) -> Tensor:
    return value[b, s]


def at_row(value: Tensor, b: int, s: int) -> Tensor:
    return value[b]


def at_roots(value: Any) -> Any:
    """What all rows' roots have of an input, rows first."""
    if isinstance(value, Tensor):
        return value[:, 0] if value.dim() > 1 else value
    return pytree.tree_map(lambda x: x[:, 0], value)
