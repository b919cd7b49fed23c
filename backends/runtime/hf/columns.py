"""A model without its attention: what it does to each column by itself, as a graph of one shape that knows no cache.

The graph asks attention back of the call in progress, through an op. How many slots there are, how many are attended to and under
which mask are then no part of its shape, so that it serves texts of any length; and what attends is what attends in the module.
Weights are inputs of the graph: they are neither copied nor made part of what a compiler keeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from penstock.backends.runtime.hf.attention import CURRENT, Call, Rule, attended
from penstock.backends.runtime.hf.slots import ShapeProbe

LIBRARY = torch.library.Library("penstock", "FRAGMENT")
LIBRARY.define(
    "attend(Tensor query, Tensor key, Tensor value, Tensor? sinks, int layer, int rule, float? scale, float? softcap) -> Tensor"
)
LIBRARY.define("linear(Tensor x, Tensor packed, Tensor? bias) -> Tensor")
PACKED = torch.ops.mkldnn._linear_pointwise.default if hasattr(torch.ops.mkldnn, "_linear_pointwise") else None
ASKS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""Of ops whose answer, or its shape, would be the traced one for ever."""


class Untraceable(Exception):
    """A model whose columns are no graph of one shape; says why."""


@dataclass(frozen=True)
class Columns:
    """``graph(ids [b,n], positions [b,n], *held) -> (logits [b,n,v])``, while a call that has a cache is in progress."""

    graph: fx.GraphModule
    held: list[Tensor]
    """Weights, and what else the model holds."""
    rules: list[Rule]
    """Whose masks attention asks for, by number."""


def attend_back(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sinks: Tensor | None,
    layer: int,
    rule: int,
    scale: float | None,
    softcap: float | None,
) -> Tensor:
    """Store keys and values ``[b,g,n,d]`` of a layer, then attend: ``[b,n,h,d]``.

    The call may have fewer rows than the graph, and fewer columns, which are then the last; what is beyond is zeros. Each layer
    reads what it stored itself, so that compilers may order these as data flows.
    """
    call = CURRENT.get()
    assert call is not None
    rows, columns = call.query.shape
    real = slice(rows), slice(None), slice(query.shape[2] - columns, None)
    keys, values = call.cache.update(key[real], value[real], layer)
    out = attended(query[real], keys, values, call.masks[rule], scale, softcap, sinks).transpose(1, 2)
    if out.shape[:2] == (len(query), query.shape[2]):
        return out.contiguous()
    padded = answer_of(query, key, value).zero_()
    padded[:rows, -columns:] = out
    return padded


def answer_of(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> Tensor:
    """A tensor of the shape of what `attend_back` answers."""
    return query.new_empty(len(query), query.shape[2], query.shape[1], value.shape[3])


def linear_of(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """A packed layer, whose weight inductor would only take for a constant."""
    return PACKED(x, packed, bias, "none", [], "")  # type: ignore[misc, no-any-return]


LIBRARY.impl("attend", attend_back, "CompositeExplicitAutograd")
LIBRARY.impl("linear", linear_of, "CompositeExplicitAutograd")
torch.library.register_fake("penstock::attend", answer_of, lib=LIBRARY)
torch.library.register_fake("penstock::linear", lambda x, packed, bias: x.new_empty(*x.shape[:-1], len(packed)), lib=LIBRARY)


class Noted(ShapeProbe):
    """A cache that stores nothing and knows which layer's keys and values it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[int, tuple[Tensor, Tensor, int]] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Note them by the identity of the keys, and hand them through."""
        self.given[id(key_states)] = key_states, value_states, layer_idx
        return key_states, value_states


def columns_of(run: Any, rows: int, columns: int, device: torch.device) -> Columns:
    """What ``run(call, cache, inputs)``, a model's forward, does to so many rows and columns.

    Raises Untraceable where that is no graph of one shape, or attention could not be asked back.
    """
    calls = list[Call]()

    def forward(ids: Tensor, positions: Tensor) -> Tensor:
        calls.append(call := Call(positions, positions, visible, cache=ShapeProbe()))
        call.instead = partial(asked_back, call, noted := Noted())
        logits: Tensor = run(call, noted, {"input_ids": ids})
        return logits

    ids = torch.zeros(rows, columns, dtype=torch.int64, device=device)
    visible = torch.ones(rows, columns, columns, dtype=torch.bool, device=device)
    try:
        graph = make_fx(forward)(ids, ids.clone())
    except Exception as problem:  # whatever a model may do that a tracer cannot follow
        raise Untraceable(str(problem).strip().partition("\n")[0] or type(problem).__name__) from problem
    graph.graph.eliminate_dead_code()
    refuse(graph, calls[-1].rules)
    return Columns(*lifted(graph), calls[-1].rules)


def asked_back(
    call: Call,
    noted: Noted,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """What attends while a model is traced. Raises Untraceable where it bends what it attends to."""
    _, given, layer = noted.given.get(id(key), (None, None, 0))
    rule = next((i for i, known in enumerate(call.masks) if known is mask), None)
    if given is not value or rule is None:
        raise Untraceable("it alters keys, values or masks between its cache and attention")
    return torch.ops.penstock.attend(query, key, value, sinks, layer, rule, scale, softcap)  # type: ignore[no-any-return]


def refuse(graph: fx.GraphModule, rules: Sequence[Rule]) -> None:
    """Raises Untraceable for what would be one call's for ever."""
    for node in graph.graph.nodes:
        if asks(node):
            raise Untraceable(f"{node.target} depends on what its columns hold")
    if any(isinstance(held, Tensor) for rule in rules for held in held_by(rule)):
        raise Untraceable("a rule of its masks holds tensors of one call")


def asks(node: fx.Node) -> bool:
    """Whether an op's answer, or its shape, depends on what a tensor holds; an index does where it is of booleans."""
    if node.target is torch.ops.aten.index.Tensor:
        return any(i is not None and i.meta["tensor_meta"].dtype in (torch.bool, torch.uint8) for i in node.args[1])
    return isinstance(node.target, torch._ops.OpOverload) and bool(ASKS & set(node.target.tags))


def held_by(rule: Any) -> list[Any]:
    """What a function's closure holds, functions in it included."""
    cells = [cell.cell_contents for cell in getattr(rule, "__closure__", None) or ()]
    flat = [x for held in cells for x in (held if isinstance(held, tuple | list) else [held])]
    return flat + [x for held in flat if callable(held) for x in held_by(held)]


def lifted(traced: fx.GraphModule) -> tuple[fx.GraphModule, list[Tensor]]:
    """The graph with what it holds as inputs, which come last, and these; packed layers by an op that takes them as such."""
    graph, inputs, held = traced.graph, dict[int, fx.Node](), list[Tensor]()
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    for node in list(graph.nodes):
        if node.target is PACKED:
            node.target, node.args = torch.ops.penstock.linear.default, node.args[:3]
        if node.op != "get_attr":
            continue
        tensor = getattr(traced, node.target)
        if id(tensor) not in inputs:
            with graph.inserting_after(last):
                last = inputs[id(tensor)] = graph.placeholder(f"held_{len(held)}")
            last.meta.update(node.meta)
            held.append(tensor.detach())
        node.replace_all_uses_with(inputs[id(tensor)])
        graph.erase_node(node)
    return fx.GraphModule({}, graph), held
