"""The few likeliest tokens in order, one by one and within blocks, beside a sort of the whole row."""

import math

import numpy as np
import pytest
import torch

from penstock.backends.eager import ranks
from penstock.backends.eager.ranks import NEAR, WIDTH, firsts, one_by_one, top_ids, within_blocks

V = 9 * WIDTH


def rows(kind: str) -> np.ndarray:
    """``[3,V]``, float32."""
    draws = np.random.default_rng(0)
    values = draws.standard_normal((3, V)).astype(np.float32)
    if kind == "tied":
        return values.round()
    if kind == "no numbers":
        values[0, [5, 700]] = math.nan
    if kind == "a tie behind the best":  # whose block is the best's
        values[1, [5 * WIDTH + 3, 5 * WIDTH + 9, WIDTH + 2]] = 9.0, 8.0, 8.0
    if kind == "mostly forbidden":
        values[:, 4 * WIDTH :] = -math.inf
    return values


def in_order(values: np.ndarray, k: int) -> list[list[int]]:
    """What is no number first, then by value; of those that tie the first."""
    keys = [[(not math.isnan(x), -x if not math.isnan(x) else 0, i) for i, x in enumerate(row)] for row in values.tolist()]
    return [[i for *_, i in sorted(row)[:k]] for row in keys]


@pytest.mark.parametrize("way", [one_by_one, within_blocks])
@pytest.mark.parametrize("kind", ["plain", "tied", "no numbers", "a tie behind the best", "mostly forbidden"])
def test_the_first_few_are_those_of_a_sort_and_the_logits_stay(kind, way):
    for k in (1, 2, 4):
        values = rows(kind)
        assert way(values, k).tolist() == in_order(values, k)
        np.testing.assert_array_equal(values, rows(kind))


def test_logits_stay_and_no_places_are_told_where_a_row_runs_out():
    values = np.full((2, V), -math.inf, np.float32)
    values[0, :5], values[1, 0] = range(5), 1.0
    before = values.copy()
    assert one_by_one(values, 3) is None
    np.testing.assert_array_equal(values, before)
    assert within_blocks(values, 3) is None
    assert top_ids(torch.from_numpy(values)[:, None], None, 3) == [[4, 3, 2], [0, 1, 2]]  # then the lowest that are forbidden


def test_wide_rows_go_by_blocks(monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(ranks, "within_blocks", lambda values, k: asked.append(k))
    wide = np.zeros((1, NEAR // 2), np.float32)
    firsts(wide, 2)
    assert asked == []
    firsts(wide, 3)
    assert asked == [3]
