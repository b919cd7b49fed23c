"""Races in which few of many tokens weigh anything: noise for those alone, and the same winner."""

import pytest
import torch

from penstock.backends.eager import race as host
from penstock.ir.ops.random import race

SIZE = host.WIDE + 7
WORDS = [3, 2**40 + 5, 2**63 + 11]


def weighing(count, seed=0):
    """A row in which so many tokens weigh something."""
    draws = torch.Generator().manual_seed(seed)
    weights = torch.zeros(SIZE)
    weights[torch.randperm(SIZE, generator=draws)[:count]] = torch.rand(count, generator=draws) + 0.01
    return weights


@pytest.mark.parametrize("count", [1, 2, 60, SIZE // host.SPARSE, SIZE // host.SPARSE + 1, SIZE])
def test_the_winner_is_that_of_all_tokens(count, monkeypatch):
    rows = [weighing(count, seed) for seed in range(3)]
    found = [host.winner(row, word) for row in rows for word in WORDS]
    monkeypatch.setattr(host, "few_weighing", lambda weights: None)
    assert found == [host.winner(row, word) for row in rows for word in WORDS]
    assert len(set(found)) > 1


def test_noise_is_made_for_them_alone(monkeypatch):
    made, own = [], host.negated
    monkeypatch.setattr(host, "negated", lambda tokens, *word: made.append(len(tokens)) or own(tokens, *word))
    for row in (weighing(60), weighing(SIZE), weighing(60)[: host.WIDE - 1]):
        host.winner(row, WORDS[0])
    assert made == [60, SIZE, host.WIDE - 1]


def test_nothing_and_what_is_no_number_are_seen():
    none, broken = torch.zeros(SIZE), weighing(60)
    broken[7] = torch.nan
    assert host.few_weighing(none) is None and host.winner(broken, WORDS[0]) == 7


def test_rows_of_a_batch_win_what_the_meaning_says():
    weights = torch.stack([weighing(30), weighing(SIZE), weighing(1)])
    key, live = torch.tensor([5, 7, 11]), torch.ones(3, dtype=torch.bool)
    drawn = host.race(weights, key.tolist(), "s.0", "draft", (2, 1), live=live.tolist())
    assert drawn == race(weights, key, "s.0", "draft", (2, 1), live=live).tolist()
