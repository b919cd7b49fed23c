"""Every kernel of the host gives what its op means, and values are converted where kernels that disagree meet."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from penstock.backends.eager import race as host
from penstock.backends.eager.generate import compiled
from penstock.backends.eager.kernels import KERNELS
from penstock.backends.eager.places import Columns, Kernel, Numbers, kernel
from penstock.backends.runtime.table import TableModel
from penstock.ir import draft
from penstock.ir.noise import addresses, exponentials
from penstock.ir.op import Op, op
from penstock.ir.ops import candidates, forward, logits, pacing, random, rows, sequence, threshold, tree
from penstock.ir.ops.ahead import awaited, begun
from penstock.ir.ops.stacked import STACKED
from penstock.ir.rows import take
from penstock.ir.state import EOS, Register, Sequence, View, new_sequence, new_view
from penstock.library.pacing.rota import Rota

V = 50


def floats(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3


def ints(*shape: int, below: int = V) -> Tensor:
    return torch.randint(0, below, shape, generator=torch.Generator().manual_seed(1))


PARENT, TOKEN = torch.tensor([[0, 0, 1, 1, 2], [0, 0, 1, 2, 2]]), torch.tensor([[4, 4, 5, 6, 5], [7, 8, 9, 3, 3]])
LIVE, KEY, STEPS = torch.tensor([True, True]), torch.tensor([3, 2**61 + 5]), torch.tensor([0, 6])
CUT = torch.full((2, 3, V), -torch.inf).index_fill(2, torch.tensor([4, 9]), 1.0)
FAR = torch.zeros(2, 1, 5120).index_add(2, torch.tensor([10, 5000, 5001]), torch.tensor([5.0, 9.0, 5.0]).expand(2, 1, 3))
"""The second largest ties with a lower id in another block."""
KEPT = torch.tensor([[2.0, *range(10)], [1.0, *range(10)]], dtype=torch.float64), torch.tensor([[1, 0, 2], [0, 3, 0]])
PACED = Rota((2, 0, 1)), 2, 0.0, STEPS, STEPS == 0


class Rests(Rota):
    """A pace that decides nothing."""

    def idles(self, began: float, text: Any) -> bool:
        return True


RESTING = Rests((2, 0, 1)), 0, 0.0, STEPS, STEPS < 0
IDS = torch.stack([torch.arange(V) * 7 + 2, torch.arange(V) * 5 + 1])
CASES: list[tuple[Op, tuple[Any, ...], dict[str, Any]]] = [
    (draft.stacked, (ints(2), ints(2)), {}),
    (draft.repeated, (floats(2, 3, V), 2), {}),
    (draft.last_columns, (ints(2, 4), 2), {}),
    (draft.canonical_tip, (ints(2, 3), 2), {}),
    (rows.in_every_row, (ints(2, 3), (0, 0, 2)), {}),
    (rows.in_every_row, (ints(2, 3), (True, True, False)), {}),
    (rows.join, (ints(2, 1), ints(2, 3)), {}),
    (rows.join, (floats(2, 1, V), floats(2, 3, V)), {}),
    (rows.widened, (floats(2, V), 1), {}),
    (rows.widened, (floats(2, 3, V), 4), {}),
    (rows.at, (ints(2, 3), torch.tensor([2, -1])), {}),
    (rows.at_each, (floats(2, 3, V), torch.tensor([[0, 1, 2], [0, 1, 2]])), {}),
    (rows.at_each, (floats(2, 3, V), torch.tensor([[0, 0, 2], [0, 1, 1]])), {}),
    (tree.sites, (PARENT, TOKEN), {}),
    (tree.reached_by, (TOKEN, (4, 3)), {}),
    (tree.tip_row, (floats(2, 3, V), 1), {}),
    (logits.scale, (floats(2, 3, V), 0.8), {}),
    (logits.scale, (floats(2, 3, V).double(), 0.7), {}),
    (logits.scale, (floats(2, 3, V), 0.0), {}),
    (logits.scale, (floats(2, 3, V), torch.tensor([0.0, 1.3])), {}),
    (logits.top_k, (floats(2, 3, V), 5), {}),
    (logits.top_k, (floats(2, 3, V).round(), 9), {}),
    (logits.top_k, (floats(V).double(), V + 1), {}),
    (logits.top_k, (CUT, 4), {}),
    (logits.top_p, (floats(2, 3, V), 0.8), {}),
    (logits.top_p, (floats(2, 3, V).round(), 0.6), {}),
    (logits.top_p, (floats(V).double() * 9, 0.3), {}),
    (logits.top_p, (floats(2, 3, V), torch.tensor([0.2, 1.0])), {}),
    (logits.top_p, (CUT, 0.9), {}),
    (candidates.candidates, (floats(2, 3, V).round(), 9), {}),
    (candidates.candidates, (floats(2, 3, V), V + 4), {}),
    (candidates.candidates, (floats(2, 5000, seed=3), 7), {}),
    (candidates.shaped_candidates, (floats(2, 5000, seed=3), floats(2, 5000, seed=2) > 5, 1.3, 0.7, 7), {}),
    (candidates.shaped_candidates, (floats(2, 3, V), None, 1.0, 0.7, V + 2), {}),
    (candidates.among, (floats(V), IDS[0] % V), {}),
    (candidates.among, (floats(2, V), IDS % V), {}),
    (candidates.nucleus, (floats(V).round(), 0.7), {}),
    (candidates.near_the_top, (floats(V).round(), 0.05), {}),
    (candidates.supported, (CUT[0, 0],), {}),
    (threshold.min_p, (floats(2, 3, V), 0.1), {}),
    (threshold.min_p, (floats(V).round(), 0.1), {}),
    (threshold.min_p, (CUT[0, 0], torch.tensor(0.1)), {}),
    (logits.repetition_penalty, (floats(2, 3, V), floats(2, 3, V, seed=2) > 2, 1.3), {}),
    (logits.repetition_penalty, (floats(V).double(), floats(V, seed=2) > 2, 0.7), {}),
    (logits.top_ids, (floats(2, 3, V), None, 1), {}),
    (logits.top_ids, (floats(2, 3, V).round(), None, 7), {}),
    (logits.top_ids, (floats(2, 3, V), floats(2, 3, V, seed=1).round(), 5), {}),
    (logits.top_ids, (floats(2, 3, V).round(), logits.scale(floats(2, 3, V), 0.0), 4), {}),
    (logits.top_ids, (CUT, None, 4), {}),
    (logits.top_ids, (floats(2, 3, V), CUT, 4), {}),
    (logits.top_ids, (CUT, None, 1), {}),
    *[(logits.top_ids, (x, None, 2), {}) for x in (floats(2, 3, 5003).round(), floats(2, 3, 5120).round(), FAR)],
    (logits.top_ids, (floats(2, 5, 5120)[:, 4:], None, 4), {}),
    *[(logits.top_ids, (x.where(x > 10, -torch.inf), None, 4), {}) for x in (floats(2, 3, 5003), floats(2, 3, 5120))],
    *[(logits.top_ids, (x.where(x < 10, torch.nan), None, 3), {}) for x in (floats(2, 3, 5003), floats(2, 3, 5120))],
    (logits.top_ids, (floats(2, 3, 5120).where(torch.arange(5120) % 5000 > 4900, -torch.inf), None, 4), {}),
    (logits.top_ids, (floats(2, 3, 5003), floats(2, 3, 5003, seed=1).round(), 4), {}),
    (logits.top_ids, (torch.full((2, 3, 5003), 0.25).bfloat16(), None, 3), {}),
    (random.largest, (floats(2, 3, V), 1), {}),
    (random.largest, (floats(2, 3, V).round(), 2), {}),
    (random.race, (floats(2, V).softmax(-1).bfloat16(), KEY, "s", "draft", (STEPS, 1, 0)), {"live": LIVE}),
    (random.race, (floats(2, V).softmax(-1), KEY, "s", "draft", (STEPS, 1, 0)), {"live": LIVE}),
    (random.race, (floats(2, 40_000).double().softmax(-1), KEY, "s", "select", (STEPS,)), {"live": LIVE}),
    (random.race, (CUT[:, 0].softmax(-1), KEY, "s", "draft", (STEPS, 1, 0)), {"live": LIVE}),
    (pacing.within, (torch.tensor([[2.0, 9.0], [0.0, 1.0]]), 3), {}),
    (pacing.paced, (*PACED, KEPT, (TOKEN[:, :2], LIVE[:, None] & LIVE), TOKEN, STEPS), {"live": LIVE}),
    (pacing.paced, (*PACED, KEPT, None, TOKEN[:, :1], STEPS * 0 + 1), {"live": ~LIVE}),
    (pacing.paced, (*RESTING, KEPT, None, TOKEN[:, :1], STEPS * 0 + 1), {"live": LIVE}),
    (random.race_among, (floats(2, V).softmax(-1), IDS, KEY, "s", "draft", (STEPS, 1, 0)), {"live": LIVE}),
    (random.foresee_among, (floats(2, V).softmax(-1), IDS, KEY, "s", "select", (STEPS + 1,)), {"live": LIVE}),
    (random.foresee, (floats(2, V).softmax(-1), KEY, "s", "select", (STEPS + 1,)), {"live": LIVE}),
]
STATEFUL = {forward.forward, forward.keep, forward.keep_first, sequence.append, sequence.look, sequence.put, pacing.started}


def as_wanted(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A kernel called with tensors, each put where it wants it, and its results as tensors."""
    bound = kernel.signature.bind(*args, **kwargs)
    for name, value in bound.arguments.items():
        put = {"numbers": Tensor.tolist, "columns": lambda x: x.unbind(1), "tensor": lambda x: x}[kernel.place(name)]
        bound.arguments[name] = pytree.tree_map(lambda x, put=put: put(x) if isinstance(x, Tensor) else x, value)
    out = kernel.run(*bound.args, **bound.kwargs)
    back = {"numbers": torch.tensor, "columns": lambda x: torch.stack(tuple(x), 1), "tensor": lambda x: x}
    results = out if len(kernel.gives) > 1 else (out,)
    found = tuple(back[place](value) for place, value in zip(kernel.gives, results, strict=True))
    return found if len(found) > 1 else found[0]


def fitting(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Kernel:
    """The kernel that generated code would call for these types."""
    graph = fx.Graph()

    def node(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        made = graph.placeholder("x")
        made.meta["example"] = value
        return made

    call = graph.call_function(op, pytree.tree_map(node, args), pytree.tree_map(node, kwargs))
    return next(k for k in KERNELS[op] if k.fits(call))


@pytest.mark.parametrize("op, args, kwargs", CASES, ids=lambda x: repr(x) if isinstance(x, Op) else "")
def test_a_kernel_gives_what_its_op_means(op, args, kwargs):
    mine = pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, args)  # a kernel may write into a register
    torch.testing.assert_close(as_wanted(fitting(op, mine, kwargs), mine, kwargs), op.meaning(*args, **kwargs), rtol=0, atol=0)


def test_every_kernel_has_a_case():
    assert {op for op, _, _ in CASES} | STATEFUL | {*STACKED.values(), begun, awaited} == set(KERNELS)


# --- noise ---------------------------------------------------------------------------------------------------------
def test_the_host_has_the_very_bits_of_the_noise():
    words = addresses(torch.arange(9), "s", "select", (torch.arange(9) * 5,))
    tokens, one = host.token_words(1000), host.halved(int(words[4]))
    assert torch.equal(-host.negated(tokens, *map(np.uint32, one)), exponentials(words[4:5], 1000)[0])
    low, high = words.astype(np.uint32)[:, None], (words >> np.uint64(32)).astype(np.uint32)[:, None]
    assert torch.equal(-host.negated(tokens, low, high), exponentials(words, 1000))


def test_a_row_that_is_not_live_draws_nothing(monkeypatch):
    drawn: list[Any] = []
    monkeypatch.setattr(host, "winners", lambda weights, words: drawn.append((len(weights), len(words))) or [1])
    assert host.race(floats(2, V).softmax(-1), [1, 2], "s", "draft", ([0, 0], 1), live=[False, True]) == [0, 1]
    assert drawn == [(1, 1)]


def test_rows_beyond_the_cache_draw_what_they_draw_together(monkeypatch):
    weights, words = floats(9, V).softmax(-1), list(range(9))
    together = host.winners(weights, words)
    monkeypatch.setattr(host, "CACHED", 2 * V)
    assert host.winners(weights, words) == together


# --- state ---------------------------------------------------------------------------------------------------------
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


# --- places --------------------------------------------------------------------------------------------------------
@op()
def doubled(x: Tensor) -> Tensor:
    """Twice."""
    return x * 2


@op()
def picked(x: Tensor) -> Tensor:
    """The last column."""
    return x[:, -1]


def on_lists(x: Numbers) -> Numbers:
    return [[2 * v for v in row] for row in x]


def of_columns(x: Columns) -> Tensor:
    last: Tensor = x[-1]
    return last


def graph_of(*steps: tuple[Op, Tensor], given: Tensor) -> fx.Graph:
    graph = fx.Graph()
    node = graph.placeholder("given")
    node.meta["example"] = given
    for step, example in steps:
        node = graph.call_function(step, (node,))
        node.meta["example"] = example
    graph.output((node,))
    return graph


def test_values_are_converted_where_kernels_disagree_and_nowhere_else():
    given = torch.tensor([[1, 2], [3, 4]])
    made = compiled(graph_of((doubled, given), (doubled, given), given=given), {doubled: (kernel(on_lists),)})
    assert torch.equal(made(given)[0], given * 4)
    assert (made.__doc__ or "").count("tolist") == 1 and (made.__doc__ or "").count("from_numbers") == 1


def test_a_kernel_that_does_not_fit_the_types_leaves_the_call_to_the_meaning():
    given = floats(2, 3)
    made = compiled(graph_of((doubled, given), given=given), {doubled: (kernel(on_lists),)})
    assert "tolist" not in (made.__doc__ or "")
    assert torch.equal(made(given)[0], given * 2)


def test_columns_are_views_until_a_tensor_is_wanted():
    given = floats(2, 3, V)
    made = compiled(graph_of((picked, given[:, -1]), given=given), {picked: (kernel(of_columns),)})
    assert made(given)[0].data_ptr() == given[:, -1].data_ptr()
