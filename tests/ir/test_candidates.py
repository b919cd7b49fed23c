"""Candidates: which tokens they are, and that what is computed of them is what is computed of the row that they stand for."""

import pytest
import torch

from penstock.ir.ops.candidates import among, candidates, near_the_top, nucleus, spread_chances, spread_logits, supported
from penstock.ir.ops.logits import top_k, top_p
from penstock.ir.ops.random import foresee, foresee_among, guess_among_outcomes, race, race_among, race_among_outcomes

V, INF = 11, torch.inf
ROW = torch.tensor([1.0, 3.0, 3.0, -1.0, 3.0, 0.0, 2.0])


@pytest.mark.parametrize(
    "k, ids", [(1, [1]), (2, [1, 2]), (3, [1, 2, 4]), (4, [1, 2, 4, 6]), (6, [0, 1, 2, 4, 5, 6]), (9, [*range(7)])]
)
def test_the_k_largest_the_lowest_ids_of_those_that_tie_in_ascending_order(k, ids):
    assert candidates(ROW, k).tolist() == ids
    assert candidates(ROW.expand(2, 3, 7), k).tolist() == [[ids] * 3] * 2


def test_where_fewer_have_support_the_lowest_ids_of_the_others_fill_up():
    assert candidates(torch.tensor([-INF, 0.0, -INF, -INF, 1.0]), 4).tolist() == [0, 1, 2, 4]


def test_what_is_no_number_is_among_them():
    assert candidates(torch.tensor([5.0, 1.0, torch.nan]), 1).tolist() == [2]


@pytest.mark.parametrize("k", [1, 3, 20])
def test_spread_candidates_are_top_k(k):
    x = torch.randn(2, 3, V, generator=torch.Generator().manual_seed(0)).mul(2).round()
    ids = candidates(x, k)
    assert torch.equal(spread_logits(among(x, ids), ids, V), top_k(x, k))


def test_chances_are_spread_over_zeros():
    found = spread_chances(torch.tensor([[0.25, 0.75]]), torch.tensor([[1, 3]]), 5)
    assert found.tolist() == [[0, 0.25, 0, 0.75, 0]]


@pytest.mark.parametrize("p, ids", [(0.4, [1]), (0.5, [1]), (0.6, [1, 2]), (0.75, [1, 2]), (0.8, [1, 2, 4]), (1.0, [1, 2, 4])])
def test_the_nucleus_has_the_token_that_reaches_p_and_no_other(p, ids):
    """Planted boundary: .5, .25, .25."""
    row = torch.tensor([-INF, 0.5, 0.25, 0.0, 0.25]).where(torch.tensor([False, True, True, False, True]), 0.0).log()
    assert nucleus(row, p).tolist() == ids
    assert (~top_p(row, p).isneginf()).nonzero()[:, 0].tolist() == ids


def test_a_site_without_support_has_all_tokens_so_that_the_draw_sees_it():
    for few in (supported, lambda x: nucleus(x, 0.5), lambda x: near_the_top(x, 0.5)):
        assert few(torch.full((4,), -INF)).tolist() == [0, 1, 2, 3]


def test_min_p_by_candidates():
    row = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()
    assert near_the_top(row, 0.7).tolist() == [1, 3]
    assert near_the_top(row, 0.0).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("whole, few", [(race, race_among), (foresee, foresee_among)])
def test_candidates_race_on_the_noise_of_their_ids(whole, few):
    """The very winner of the race over all tokens, over many addresses."""
    rows = 500
    x = torch.randn(rows, V, generator=torch.Generator().manual_seed(1))
    ids = candidates(x, 4)
    p = among(x, ids).softmax(-1)
    at = torch.arange(rows), "s", "select", (torch.arange(rows) * 3, 2)
    live = torch.ones(rows, dtype=torch.bool)
    found = few(p, ids, *at, live=live)
    assert torch.equal(found, whole(spread_chances(p, ids, V), *at, live=live))
    by_place = few(p, torch.arange(4).expand(rows, 4), *at, live=live)
    assert not torch.equal(found, ids.gather(1, by_place[:, None])[:, 0])  # planted: noise by place


def test_outcomes_are_tokens():
    weights, ids = torch.tensor([[1.0, 3.0], [0.0, 2.0]]), torch.tensor([[4, 6], [1, 2]])
    row, token, p = race_among_outcomes(weights, ids)
    assert (row.tolist(), token.tolist(), p.tolist()) == ([0, 0, 1], [4, 6, 2], [0.25, 0.75, 1.0])
    assert guess_among_outcomes(weights, ids)[2].tolist() == [0.5, 0.5, 1.0]
