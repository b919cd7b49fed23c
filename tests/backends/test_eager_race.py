"""Races in which few of many tokens weigh anything, or can win: noise for those alone, and the same winner."""

import numpy as np
import pytest
import torch

from penstock.backends.eager import race as host
from penstock.ir.noise import exponentials
from penstock.ir.ops.random import race

SIZE = host.WIDE + 7
WORDS = [3, 2**40 + 5, 2**63 + 11]


def weighing(count, seed=0):
    """A row in which so many tokens weigh something."""
    draws = torch.Generator().manual_seed(seed)
    weights = torch.zeros(SIZE)
    weights[torch.randperm(SIZE, generator=draws)[:count]] = torch.rand(count, generator=draws) + 0.01
    return weights


def of_all(row, word):
    """Who wins when every token's noise is made."""
    return int((exponentials(np.array([word], np.uint64), len(row))[0].to(row) / row).argmin())


@pytest.mark.parametrize("count", [1, 2, 60, SIZE // host.SPARSE, SIZE // host.SPARSE + 1, SIZE])
def test_the_winner_is_that_of_all_tokens(count):
    found = [[won(row, word) for row in map(weighing, [count] * 3, range(3)) for word in WORDS] for won in (host.winner, of_all)]
    assert found[0] == found[1] and len(set(found[0])) > 1


@pytest.mark.parametrize("sharp", [0.0, 1.0, 3.0, 9.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_whoever_may_win_is_among_the_early(sharp, dtype):
    """Some of the heavy tokens have a u near 1, which says little of their exponential."""
    draws, counts = torch.Generator().manual_seed(7), []
    for word in torch.randint(0, 2**62, (100,), generator=draws).tolist():
        row = (torch.randn(SIZE, generator=draws) * sharp).softmax(-1).to(dtype)
        assert host.winner(row, word) == of_all(row, word)
        counts.append(len(host.early(row.float(), word)))
    assert max(counts) < 20 and (sharp < 9 or max(counts) > 1)


def test_noise_is_made_for_them_alone(monkeypatch):
    made, own = [], host.negated
    monkeypatch.setattr(host, "negated", lambda tokens, *word: made.append(len(tokens)) or own(tokens, *word))
    for row in (weighing(60), weighing(60)[: host.WIDE - 1], weighing(SIZE), weighing(SIZE).bfloat16()):
        host.winner(row, WORDS[0])
    assert made == [60, host.WIDE - 1, SIZE]  # of the third row one token alone may win


def test_nothing_and_what_is_no_number_are_seen():
    none, broken, dense = torch.zeros(SIZE), weighing(60), weighing(SIZE)
    broken[7] = dense[7] = torch.nan
    assert host.few_weighing(none) is host.early(none, WORDS[0]) is host.early(dense, WORDS[0]) is None
    assert host.winner(broken, WORDS[0]) == host.winner(dense, WORDS[0]) == 7


def test_rows_of_a_batch_win_what_the_meaning_says():
    weights = torch.stack([weighing(30), weighing(SIZE), weighing(1)])
    key, live = torch.tensor([5, 7, 11]), torch.ones(3, dtype=torch.bool)
    drawn = host.race(weights, key.tolist(), "s.0", "draft", (2, 1), live=live.tolist())
    assert drawn == race(weights, key, "s.0", "draft", (2, 1), live=live).tolist()
