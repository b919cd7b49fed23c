"""Every kernel of the host gives what its op means."""

from typing import Any

import pytest
import torch
from host_kernels import STATEFUL, V, as_wanted, floats
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from penstock.backends.eager.kernels import KERNELS
from penstock.backends.eager.places import Kernel
from penstock.ir import draft
from penstock.ir.op import Op
from penstock.ir.ops import candidates, logits, pacing, random, rows, threshold, tree
from penstock.ir.ops.ahead import awaited, begun
from penstock.ir.ops.stacked import STACKED
from penstock.library.pacing.rota import Rota


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
