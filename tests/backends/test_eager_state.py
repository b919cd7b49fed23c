"""Kernels that change handles leave in them what their ops' meanings leave."""

from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import torch
from host_kernels import STATEFUL, as_wanted, floats
from torch import Tensor

from penstock.backends.eager.kernels import KERNELS
from penstock.backends.eager.places import Kernel
from penstock.backends.runtime.table import TableModel
from penstock.ir.ops import forward, pacing, sequence
from penstock.ir.rows import take
from penstock.ir.state import EOS, Register, Sequence, View, new_sequence, new_view
from penstock.library.pacing.rota import Rota

MODEL = TableModel(5, seed=1, layers=2)
PROMPTS = [[1, 2, 3], [4], [2, 2]]


def begin(live: list[bool]) -> tuple[View, Sequence]:
    seq = new_sequence(3, 12, key=torch.tensor([1, 2, 3]), limit=torch.tensor([10, 3, 10]))
    seq.status[~torch.tensor(live)] = EOS
    return new_view(MODEL, PROMPTS, 20), seq


def run(ops: Any, live: list[bool]) -> tuple[Any, ...]:
    """Two steps with a tree, rows that keep different paths, gaps that differ, and a catch-up."""
    view, seq = begin(live)
    logits, on = [], torch.tensor(live)
    for tokens in (torch.tensor([[1, 2, 3], [0, 4, 2], [3, 0, 1]]), torch.tensor([[2, 2, 0], [1, 1, 1], [4, 0, 0]])):
        view, first, _ = ops[forward.forward](view, seq, root=True, live=on)
        view, second, _ = ops[forward.forward](view, seq, tokens, (-1, -1, 1), live=on)
        node, count = torch.tensor([[0, 2, 3], [0, 1, 0], [0, 0, 0]]), torch.tensor([3, 2, 1])
        new = torch.tensor([[2, 3, 4], [0, 1, 0], [2, 0, 0]])
        (view,) = ops[forward.keep](view, seq, node, count, live=on)
        (seq,) = ops[sequence.append](seq, new, count, (3,), live=on)
        _, text, empty = ops[pacing.started](view, seq, Rota((1,)), live=on)
        (register,) = ops[sequence.put](Register(torch.zeros(3, 2)), floats(3, 2), live=on)
        logits += [first[on], second[on], text, empty, register.value]
        view, chained, _ = ops[forward.forward](view, seq, tokens, (-1, 0, 1), root=True, live=on)
        (view,) = ops[forward.keep_first](view, count, live=on)
        (seq,) = ops[sequence.append](seq, tokens, count, (), live=on)
        logits += [chained[on], *leaves_of(view, on)]
    view, last, _ = ops[forward.forward](view, seq, torch.tensor([[1], [2], [3]]), (-1,), root=True, live=on)
    return (*logits, last[on], *ops[sequence.look](seq), *leaves_of(seq, on), *leaves_of(view, on))


def leaves_of(handle: Any, on: Tensor) -> list[Tensor]:
    assert is_dataclass(handle)
    apart = ("cache", "model", "params", "parents", "forwards", "fed")
    values = [getattr(handle, f.name) for f in fields(handle) if f.name not in apart]
    values += [handle.made, handle.nodes] if isinstance(handle, View) else []
    return [take(x, on) for x in values if isinstance(x, Tensor)]


@pytest.mark.parametrize("live", [[True, True, True], [True, False, True], [False, True, False]])
def test_state_ops_leave_what_their_meanings_leave(live):
    for ours, meant in zip(run(HOST, live), run(MEANT, live), strict=True):
        torch.testing.assert_close(ours, meant)


@pytest.mark.parametrize("reads_path", [True, False])
def test_nodes_that_only_some_rows_were_fed_count_for_these(reads_path):
    """Two nodes of all rows, then a third of two rows, in a region; every row accepts three."""
    on, some = torch.tensor([True, True, True]), torch.tensor([True, False, True])
    tokens, path, count = torch.tensor([[1, 2, 3], [0, 4, 2], [3, 0, 1]]), torch.arange(4).expand(3, -1), torch.full((3,), 4)
    found = []
    for ops in (MEANT, HOST):
        view, seq = begin([True] * 3)
        view, _, _ = ops[forward.forward](view, seq, tokens[:, :2], (-1, 0), root=True, live=on)
        view, _, _ = ops[forward.forward](view, seq, tokens[:, 2:], (1,), live=some)
        given = (view, seq, path, count) if reads_path else (view, count)
        (view,) = ops[forward.keep if reads_path else forward.keep_first](*given, live=on)
        found.append(leaves_of(view, on))
        assert view.cached.tolist() == [6, 3, 5]
    assert all(map(torch.equal, *found))


def as_wanted_state(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    out = as_wanted(kernel, args, kwargs)
    return out if len(kernel.gives) > 1 else out if isinstance(out, tuple) else (out,)


MEANT = {each: each.meaning for each in STATEFUL}
HOST = {each: lambda *a, k=KERNELS[each][0], **n: as_wanted_state(k, a, n) for each in STATEFUL}
"""The kernels of state ops, called as their meanings are."""


class Fed(TableModel):
    """Keeps what it was fed last."""

    def forward(self, cache: Any, feed: Any) -> Any:
        self.last = feed
        return super().forward(cache, feed)


def test_columns_that_a_row_has_nothing_for_go_to_the_trash_slot_and_see_something():
    """Of a text of one token beside one of three, the first two columns are void; nothing stands before them to be seen."""
    model = Fed(5, seed=1, layers=2)
    view, seq = new_view(model, [[4], [1, 2, 3]], 4), new_sequence(2, 4, key=torch.tensor([1, 2]), limit=3)
    as_wanted(KERNELS[forward.forward][0], (view, seq), {"root": True, "live": torch.tensor([True, True])})
    assert model.last.slots.tolist() == [[view.cache.slots] * 2 + [0], [0, 1, 2]]
    assert model.last.positions.tolist() == [[0, 0, 0], [0, 1, 2]] and model.last.ids.tolist() == [[0, 0, 4], [1, 2, 3]]
    assert model.last.visible.any(-1).all() and model.last.visible[0, 2].nonzero().tolist() == [[0]]
