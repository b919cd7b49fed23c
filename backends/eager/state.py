"""The state ops on the host: rows are read as Python numbers and written where they are, which linear handles allow.

A handle has one owner, so its tensors are made when a batch begins and written in place from then on: tokens and lengths into
their rows; masks and slots are windows onto tables that a shape has once. Which slots of accepted nodes may move, the pass
`plan_cache` says. What a step still makes anew is as large as what it feeds and reads: its columns, and a distribution a site
where tokens are drawn.
"""

from operator import add
from typing import Any

import numpy as np
from torch import Tensor

from penstock.backends.eager.places import Numbers, from_numbers
from penstock.ir.rows import where_rows
from penstock.ir.state import EOS, LENGTH, RUNNING, Register, Sequence, View


def look(seq: Sequence) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
    live = [status == RUNNING for status in seq.status.tolist()]
    return seq.length.tolist(), live, seq.steps.tolist(), seq.key.tolist(), seq.limit.tolist()


def write(values: Tensor, numbers: list[int]) -> None:
    """In place, which linear handles allow."""
    if len(numbers) == 1:
        values.fill_(numbers[0])  # a third of the time
    else:
        values.numpy()[:] = numbers


def increase(values: Tensor, amounts: list[int]) -> None:
    """In place, by an amount a row."""
    if len(amounts) == 1:
        values.fill_(values.item() + amounts[0])
    else:
        held = values.numpy()
        held += amounts


def keep(view: View, seq: Sequence, node: Numbers, count: Numbers, *, live: Numbers) -> tuple[View]:
    """Nothing moves where the accepted path is the first nodes in order, or where no node was fed."""
    if isinstance(view.parents, tuple) and not view.parents:
        return (view,)
    fed, kept, moves = nodes(view, len(node)), [0] * len(node), False
    for b, path in enumerate(node):
        room = min(count[b] - 1, len(path) - 1) if live[b] else 0
        while kept[b] < room and 1 <= path[kept[b] + 1] <= fed[b]:
            kept[b] += 1
            moves = moves or path[kept[b]] != kept[b]
    if moves:
        lengths = list(map(add, view.prefix_length.tolist(), seq.length.tolist()))
        most, trash, source, target = max(kept), view.cache.slots, list[list[int]](), list[list[int]]()
        for n, path, k in zip(lengths, node, kept, strict=True):
            still = [trash] * (most - k)
            source.append([n + i - 1 for i in path[1 : k + 1]] + still)
            target.append([*range(n, n + k), *still])
        view.cache.move(from_numbers(source, np.int64), from_numbers(target, np.int64))
    return (grown(view, kept),)


def keep_first(view: View, count: Numbers, *, live: Numbers) -> tuple[View]:
    if isinstance(view.parents, tuple) and not view.parents:
        return (view,)
    fed = nodes(view, len(count))
    return (grown(view, [min(n - 1, most) if on else 0 for n, most, on in zip(count, fed, live, strict=True)]),)


def nodes(view: View, rows: int) -> list[int]:
    """In-step nodes of each of so many rows; mostly every row has them all, and no tensor is read."""
    return [view.common] * rows if alike(view) else view.nodes.tolist()


def alike(view: View) -> bool:
    """Whether every row was fed every node."""
    return isinstance(view.parents, tuple) and len(view.parents) == view.common


def grown(view: View, kept: list[int]) -> View:
    """The view with so many more tokens of each row's text in their slots, and no nodes."""
    increase(view.cached, kept)
    if not alike(view):
        view.fed.zero_()
    view.common, view.parents = 0, ()
    view.trail = None if view.trail is None else view.trail[:, :0]
    return view


def append(seq: Sequence, tokens: Numbers, count: Numbers, eos: tuple[int, ...], *, live: Numbers) -> tuple[Sequence]:
    text, length, limit = seq.tokens.numpy(), seq.length.tolist(), seq.limit.tolist()
    ended: dict[int, int] = {}
    for b, n in enumerate(count):
        if live[b]:
            end = length[b] + n
            text[b, length[b] : end] = tokens[b][:n]
            if tokens[b][n - 1] in eos:
                ended[b] = EOS
            elif end >= limit[b]:
                ended[b] = LENGTH
    if ended:
        write(seq.status, [ended.get(b, status) for b, status in enumerate(seq.status.tolist())])
    increase(seq.length, [n * on for n, on in zip(count, live, strict=True)])
    increase(seq.steps, list(map(int, live)))  # added to integers, booleans take another way
    return (seq,)


def put(register: Register, value: Any, *, live: Numbers) -> tuple[Register]:
    """Mostly every row is live, and the new value is the register's as it is."""
    register.value = value if all(live) else where_rows(from_numbers(live, np.bool_), value, register.value)
    return (register,)
