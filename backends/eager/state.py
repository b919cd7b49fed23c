"""The state ops on the host: rows are read as Python numbers and written where they are, which linear handles allow."""

import numpy as np
from torch import Tensor

from penstock.backends.eager.places import Numbers, from_numbers
from penstock.ir.state import EOS, LENGTH, RUNNING, Sequence, View


def look(seq: Sequence) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
    live = [status == RUNNING for status in seq.status.tolist()]
    return seq.length.tolist(), live, seq.steps.tolist(), seq.key.tolist(), seq.limit.tolist()


def write(values: Tensor, numbers: list[int]) -> None:
    """In place, which linear handles allow."""
    if len(numbers) == 1:
        values.fill_(numbers[0])  # a third of the time
    else:
        values.numpy()[:] = numbers


def keep(view: View, seq: Sequence, node: Numbers, count: Numbers, *, live: Numbers) -> tuple[View]:
    """Nothing moves where the accepted path is the first nodes in order."""
    fed, kept, moves = view.fed.tolist(), [0] * len(node), False
    for b, path in enumerate(node):
        most = min(count[b] - 1, len(path) - 1) if live[b] else 0
        while kept[b] < most and 1 <= path[kept[b] + 1] <= fed[b]:
            kept[b] += 1
            moves = moves or path[kept[b]] != kept[b]
    if moves:
        lengths = (view.prefix_length + seq.length).tolist()
        longest, trash = max(kept), view.cache.slots
        rows = list(zip(lengths, node, kept, strict=True))
        source = [[n + path[j + 1] - 1 if j < k else trash for j in range(longest)] for n, path, k in rows]
        target = [[n + j if j < k else trash for j in range(longest)] for n, _, k in rows]
        view.cache.move(from_numbers(source, np.int64), from_numbers(target, np.int64))
    view.cached.add_(kept[0] if len(kept) == 1 else from_numbers(kept, np.int64))
    view.fed.zero_()
    view.parents = ()
    view.trail = None if view.trail is None else view.trail[:, :0]
    return (view,)


def append(seq: Sequence, tokens: Numbers, count: Numbers, eos: tuple[int, ...], *, live: Numbers) -> tuple[Sequence]:
    text, length, status, limit = seq.tokens.numpy(), seq.length.tolist(), seq.status.tolist(), seq.limit.tolist()
    for b, n in enumerate(count):
        if live[b]:
            text[b, length[b] : length[b] + n] = tokens[b][:n]
            length[b] += n
            if tokens[b][n - 1] in eos:
                status[b] = EOS
            elif length[b] >= limit[b] and status[b] == RUNNING:
                status[b] = LENGTH
    write(seq.length, length)
    write(seq.status, status)
    write(seq.steps, [n + on for n, on in zip(seq.steps.tolist(), live, strict=True)])
    return (seq,)
