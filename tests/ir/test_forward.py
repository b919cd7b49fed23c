"""Slots, masks and positions of the one forward op, and what keep leaves: always what the text alone would say."""

from itertools import product

import pytest
import torch

from penstock.backends.runtime.table import TableModel
from penstock.ir.ops.forward import forward, keep, keep_first
from penstock.ir.ops.sequence import append
from penstock.ir.rows import leaves
from penstock.ir.state import EOS, Sequence, View, new_sequence, new_view

MODEL = TableModel(5, seed=1, layers=2)
PROMPTS = [[1, 2, 3], [4]]
TOKENS = torch.tensor([[1, 2, 3, 0], [0, 4, 2, 2]])
PARENTS = torch.tensor([[-1, -1, 0, 1], [-1, 0, 1, 0]])


def begin() -> tuple[View, Sequence]:
    return new_view(MODEL, PROMPTS, 20), new_sequence(2, 12, key=torch.tensor([1, 2]), limit=10)


def truth(text: list[int]) -> torch.Tensor:
    return MODEL.from_scratch(MODEL.embed(torch.tensor(text)))[-1]


def path(row: int, node: int) -> list[int]:
    return [] if node < 0 else [*path(row, int(PARENTS[row, node])), int(TOKENS[row, node])]


def test_a_tree_is_scored_as_its_paths_from_scratch():
    view, seq = begin()
    _, logits, _ = forward(view, seq, TOKENS, PARENTS, root=True, live=seq.live)
    for row, prompt in enumerate(PROMPTS):
        for node in range(-1, 4):
            torch.testing.assert_close(logits[row, 1 + node], truth(prompt + path(row, node)))


@pytest.mark.parametrize("split", [1, 2, 3])
def test_levels_fed_one_call_after_another_see_their_ancestors(split):
    view, seq = begin()
    view, first, _ = forward(view, seq, TOKENS[:, :split], PARENTS[:, :split], root=True, live=seq.live)
    view, rest, _ = forward(view, seq, TOKENS[:, split:], PARENTS[:, split:], live=seq.live)
    whole = forward(*begin(), TOKENS, PARENTS, root=True, live=seq.live)[1]
    torch.testing.assert_close(torch.cat([first, rest], 1), whole)


def test_keep_leaves_the_committed_text_and_the_rest_is_a_gap():
    view, seq = begin()
    view, _, _ = forward(view, seq, TOKENS, PARENTS, root=True, live=seq.live)
    node, count = torch.tensor([[0, 2, 4], [0, 1, 0]]), torch.tensor([3, 2])  # paths 2 -> 0 and 0
    (view,) = keep(view, seq, node, count, live=seq.live)
    (seq,) = append(seq, torch.tensor([[2, 0, 4], [0, 3, 0]]), count, (), live=seq.live)
    assert view.cached.tolist() == [5, 2]  # the last committed token is the next root
    _, logits, _ = forward(view, seq, root=True, live=seq.live)
    torch.testing.assert_close(logits[0, 0], truth([1, 2, 3, 2, 0, 4]))
    torch.testing.assert_close(logits[1, 0], truth([4, 0, 3]))


def test_rows_that_are_not_live_stay_as_they_are_and_catch_up_later():
    view, seq = begin()
    only_first = torch.tensor([True, False])
    view, _, _ = forward(view, seq, TOKENS, PARENTS, root=True, live=only_first)
    assert view.cached.tolist() == [3, 0] and view.fed.tolist() == [4, 0]
    (view,) = keep(view, seq, torch.tensor([[0, 2], [0, 1]]), torch.tensor([2, 2]), live=seq.live)
    (seq,) = append(seq, torch.tensor([[2, 1], [0, 3]]), torch.tensor([2, 2]), (), live=seq.live)
    assert view.cached.tolist() == [4, 0]
    _, logits, _ = forward(view, seq, root=True, live=seq.live)
    torch.testing.assert_close(logits[0, 0], truth([1, 2, 3, 2, 1]))
    torch.testing.assert_close(logits[1, 0], truth([4, 0, 3]))


@pytest.mark.parametrize("fed", [0, 1, 3])
@pytest.mark.parametrize("live", [*product([True, False], repeat=2)])
def test_a_chain_is_kept_without_reading_its_path(fed, live):
    """Every number of accepted nodes, also beyond those that the view was fed; rows that idle keep nothing."""
    for counts in product(range(1, 5), repeat=2):
        kept = []
        for alone in (False, True):
            view, seq = begin()
            seq.status[~torch.tensor(live)] = EOS
            view.trail = torch.zeros(2, 0, 5, dtype=torch.float64)
            chain = dict(tokens=TOKENS[:, :fed], parents=tuple(range(-1, fed - 1))) if fed else {}
            view, _, _ = forward(view, seq, **chain, root=True, live=seq.live)
            path, count = torch.arange(4).expand(2, -1), torch.tensor(counts)
            (view,) = keep_first(view, count, live=seq.live) if alone else keep(view, seq, path, count, live=seq.live)
            kept.append((leaves(view), view.parents))
        assert kept[0][1] == kept[1][1] == () and len(kept[0][0]) == len(kept[1][0])
        assert all(map(torch.equal, kept[0][0], kept[1][0]))
        most = [min(count - 1, fed) * on for count, on in zip(counts, live, strict=True)]
        assert view.cached.tolist() == [n * on + more for n, on, more in zip((3, 1), live, most, strict=True)]


def test_an_overridden_position_reads_its_vector_also_in_catch_up():
    view, seq = begin()
    (seq,) = append(seq, torch.tensor([[2, 1], [0, 3]]), torch.tensor([2, 2]), (), live=seq.live)
    vector = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0], dtype=torch.float64)
    view.override, view.overridden = torch.zeros(2, 12, 5, dtype=torch.float64), torch.zeros(2, 12, dtype=torch.bool)
    view.override[0, 1], view.overridden[0, 1] = vector, True
    _, logits, _ = forward(view, seq, root=True, live=seq.live)
    vectors = torch.cat([MODEL.embed(torch.tensor([1, 2, 3, 2])), vector[None]])
    torch.testing.assert_close(logits[0, 0], MODEL.from_scratch(vectors)[-1])
    torch.testing.assert_close(logits[1, 0], truth([4, 0, 3]))


@pytest.mark.parametrize("fault", ["position", "sibling", "slot"])
def test_a_wrong_position_mask_or_slot_shows_in_the_logits(fault, monkeypatch):
    original = MODEL.forward

    def faulty(cache, feed):
        if fault == "position":
            feed.positions = feed.positions + (torch.arange(feed.ids.shape[1]) > 3)
        if fault == "sibling":
            feed.visible[:, -1, :-1] |= feed.visible[:, -2, :-1]
        if fault == "slot":
            feed.slots[:, -1] = feed.slots[:, -2]
        return original(cache, feed)

    view, seq = begin()
    right = forward(*begin(), TOKENS, PARENTS, root=True, live=seq.live)[1]
    monkeypatch.setattr(MODEL, "forward", faulty)
    wrong = forward(view, seq, TOKENS, PARENTS, root=True, live=seq.live)[1]
    assert (wrong - right).abs().max() > 1e-3
