"""Arithmetic on few numbers, by numpy: rows at once are each row alone, over all small rows there are."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch

from penstock.backends.eager import few
from penstock.ir.ops.logits import repetition_penalty

NAN, INF = math.nan, math.inf
ROWS = np.array(list(product((-INF, 0.0, 1.0, INF, NAN), repeat=3)), np.float32)


def ranked(row: list[float]) -> list[int]:
    """Places by value, the lowest first of those that tie; what is no number before all."""
    return sorted(range(len(row)), key=lambda i: (not math.isnan(row[i]), 0 if math.isnan(row[i]) else -row[i], i))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_k_largest_of_every_row_of_three(k):
    expected = [[i in ranked(row)[:k] for i in range(3)] for row in ROWS.tolist()]
    assert few.largest(ROWS, k).tolist() == expected
    assert [few.largest(row, k).tolist() for row in ROWS] == expected


def test_ties_by_the_highest_place_would_be_seen():
    assert few.largest(np.array([1.0, 2.0, 2.0, 2.0]), 2).tolist() == [False, True, True, False]


WEIGHTS = np.array(list(product((0, 1, 2, 4), repeat=3)))[1:]
"""All but the row of nothing."""


def reaching(weights: list[int], p: Fraction) -> list[bool]:
    """The fewest of the heaviest that have p of all, reckoned exactly."""
    order = sorted(range(3), key=lambda i: (-weights[i], i))
    before = [sum(weights[j] for j in order[:n]) for n in range(3)]
    needed = {order[n] for n in range(3) if n == 0 or before[n] < p * sum(weights)}
    return [i in needed for i in range(3)]


@pytest.mark.parametrize("p", [Fraction(1, 11), Fraction(3, 10), Fraction(11, 20), Fraction(9, 11)])  # no boundary of any row
def test_the_nucleus_of_every_row_of_three(p):
    with np.errstate(divide="ignore"):
        values = np.log(WEIGHTS).astype(np.float32)
    expected = [reaching(row, p) for row in WEIGHTS.tolist()]
    assert few.in_nucleus(values, float(p)).tolist() == expected
    assert [few.in_nucleus(row, float(p)).tolist() for row in values] == expected
    shares = np.where(np.arange(len(values)) % 2, float(p), INF)[:, None]  # each row its own
    assert few.in_nucleus(values, shares).tolist() == [x if i % 2 else [True] * 3 for i, x in enumerate(expected)]


def test_of_many_that_tie_the_first_are_the_nucleus():
    values = np.repeat(np.array([[0.0, 1.0], [1.0, 0.0]], np.float32), 101, axis=1)
    likely = math.e / (1 + math.e)
    found = few.in_nucleus(values, np.array([[likely / 2], [likely / 4]]))
    assert [np.flatnonzero(row).tolist() for row in found] == [[*range(101, 152)], [*range(26)]]


@pytest.mark.parametrize("row", [[NAN, 1.0, 2.0], [INF, 0.0, 1.0], [-INF] * 3])
def test_a_row_whose_largest_is_no_finite_number_keeps_all_and_another_does_not(row):
    values = np.array([row, [0.0, 9.0, 0.0]], np.float32)
    assert few.in_nucleus(values, 0.5).tolist() == [[True] * 3, [False, True, False]]
    assert few.likely(values, 0.5).tolist() == [[True] * 3, [False, True, False]]


def test_likely_tokens_are_so_beside_the_likeliest_of_their_row():
    values = np.log(np.array([[0.1, 0.4, 0.2], [0.04, 0.02, 0.01]], np.float32))
    assert few.likely(values, 0.4).tolist() == [[False, True, True], [True, True, False]]
    assert few.likely(values, np.array([[0.6], [0.2]])).tolist() == [[False, True, False], [True, True, True]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_penalised_are_the_meaning_s_in_its_precision(dtype):
    logits = torch.tensor([1.5, -2.25, 0.0, -INF, 3.125, -0.375]).to(dtype)
    wide = logits.to(torch.promote_types(dtype, torch.float32)).numpy()
    for seen in product((False, True), repeat=6):
        found = few.rounded(few.penalised(wide, np.array(seen), 1.3), dtype)
        expected = repetition_penalty.meaning(logits, torch.tensor(seen), 1.3)
        assert torch.equal(torch.from_numpy(found).to(dtype), expected)
        assert torch.equal(torch.from_numpy(found), expected.to(torch.from_numpy(wide).dtype))


def test_where_nothing_was_seen_nothing_is_copied():
    values = np.zeros(4, np.float32)
    assert few.penalised(values, np.zeros(4, np.bool_), 1.3) is values
