"""A stack of forwards on the host leaves and answers what forwards one after another do."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from penstock.backends.eager import stacked as host
from penstock.backends.runtime.table import TableModel
from penstock.ir.ops import stacked
from penstock.ir.ops.forward import keep
from penstock.ir.ops.sequence import append
from penstock.ir.state import EOS, Sequence, View, new_sequence, new_view

MODEL = TableModel(5, seed=1, layers=2)
PROMPTS = [[1, 2, 3], [4], [2, 2]], [[4], [3, 3, 0, 1], [2]]
TOKENS = torch.tensor([[1, 2, 3], [0, 4, 2], [3, 0, 1]])
NODE, COUNT = torch.tensor([[0, 2, 3], [0, 1, 0], [0, 0, 0]]), torch.tensor([3, 2, 1])
NEW = torch.tensor([[2, 3, 4], [0, 1, 0], [2, 0, 0]])


def begin(live: list[bool]) -> tuple[list[View], Sequence]:
    seq = new_sequence(3, 12, key=torch.tensor([1, 2, 3]), limit=torch.tensor([10, 10, 10]))
    seq.status[~torch.tensor(live)] = EOS
    return [new_view(MODEL, prompts, 20) for prompts in PROMPTS], seq


def by_meaning(*handles: Any, asked: Any, live: list[bool]) -> Any:
    tokens = [(None if each is None else torch.tensor(each), *more) for each, *more in asked]
    return stacked.forward_stacked(*handles, asked=tuple(tokens), live=torch.tensor(live))


def run(stack: Any, live: list[bool]) -> list[Tensor]:
    """Two steps of unequal gaps, in which the views are asked different things."""
    (one, other), seq = begin(live)
    on, seen = torch.tensor(live), list[Tensor]()
    for _ in range(2):
        asked = (TOKENS.tolist(), (-1, -1, 1), True, False), (TOKENS[:, :2].tolist(), (-1, 0), True, True)
        one, other, *answers = stack(one, other, seq, asked=asked, live=live)
        more = (TOKENS[:, :1].tolist(), (2,), False, False), (TOKENS[:, 1:].tolist(), (1, -1), False, False)
        one, other, *further = stack(one, other, seq, asked=more, live=live)
        seen += [part[on] for part in (*answers[:1], *answers[2:3], *answers[3], *further[:1], *further[2:3])]
        assert answers[1] == further[1] == further[3] == ()
        for view in (one, other):
            keep.meaning(view, seq, NODE, COUNT, live=on)
        append.meaning(seq, NEW, COUNT, (), live=on)
    for view in (one, other):
        seen += [view.cached[on], view.nodes[on], view.made[on], *(leaf[on][..., :-1, :] for leaf in view.cache.leaves()[:1])]
    return seen


@pytest.mark.parametrize("live", [[True, True, True], [True, False, True], [False, False, False]])
def test_a_stack_leaves_and_answers_what_forwards_do(live):
    for ours, meant in zip(run(host.forward_stacked, live), run(by_meaning, live), strict=True):
        torch.testing.assert_close(ours, meant)


def test_views_of_two_models_are_never_one_call(monkeypatch):
    """Two models of one name look alike until they are there."""
    (one, other), seq = begin([True] * 3)
    other.model = TableModel(5, seed=1, layers=2)
    monkeypatch.setattr(TableModel, "forward_stacked", None)
    asked = (None, (), True, False), (None, (), True, False)
    _, _, *answers = host.forward_stacked(one, other, seq, asked=asked, live=[True] * 3)
    assert [tuple(answers[place].shape) for place in (0, 2)] == [(3, 1, 5)] * 2


class Sparing(TableModel):
    """Answers for no more columns than it must, and notes how many."""

    def forward_stacked(self, caches: Any, feeds: Any) -> Any:
        self.read = [feed.read for feed in feeds]
        found = zip(super().forward_stacked(caches, feeds), self.read, strict=True)
        return [replace(out, logits=out.logits[:, -read:]) for out, read in found]


def test_of_a_stack_of_prompts_the_last_columns_are_read():
    (one, other), seq = begin([True] * 3)
    one.model = other.model = sparing = Sparing(5, seed=1, layers=2)
    asked = (TOKENS.tolist(), (-1, -1, 1), True, False), (None, (), True, False)
    _, _, *answers = host.forward_stacked(one, other, seq, asked=asked, live=[True] * 3)
    (one, other), seq = begin([True] * 3)
    _, _, *meant = by_meaning(one, other, seq, asked=asked, live=[True] * 3)
    assert sparing.read == [4, 1]
    torch.testing.assert_close(answers[::2], meant[::2])
