"""Exposed noise: the bits of `ir.noise`, in torch's signed integers, and races that win by them."""

import numpy as np
import pytest
import torch

from penstock.ir.errors import PenstockError
from penstock.ir.noise import addresses, exponentials
from penstock.ir.ops.exposed import (
    NOTHING,
    accept_words,
    earliest,
    negative_exponentials,
    select_words,
    shifted,
    signed,
    supported,
    words,
)
from penstock.ir.ops.random import race

KEYS = torch.tensor([0, 7, 2**40 + 3, 2**62 + 11, 2**63 - 1])
STEPS = torch.tensor([0, 3, 4, 2**31, 2**33])


LENGTHS = torch.tensor([0, 1, 5, 70, 2**33])


def words_of(*at):
    return words(KEYS, "accept", "select", at)


def test_the_words_of_a_walk_are_those_of_its_draws():
    selects = select_words(KEYS, "accept", LENGTHS, 3).numpy().astype(np.uint64)
    assert selects.T.tolist() == [addresses(KEYS, "accept", "select", (LENGTHS + d,)).tolist() for d in range(3)]
    accepts = accept_words(KEYS, "accept", STEPS, 3, 2).numpy().astype(np.uint64)
    coins = [addresses(KEYS, "accept", "accept", (STEPS, d, r)).tolist() for d in range(3) for r in range(2)]
    assert accepts.T.tolist() == coins


@pytest.mark.parametrize("size", [3, 1000, 70_001])
def test_exponentials_are_those_of_the_meaning(size):
    """Before its logarithm the mixer gives the same bits; both logarithms are torch's here."""
    expected = exponentials(addresses(KEYS, "accept", "select", (STEPS,)), size)
    assert torch.equal(-negative_exponentials(words_of(STEPS), size), expected)


def test_numbers_without_sign_wrap_and_shift():
    for word in (0, 1, 2**31 - 1, 2**31, 2**32 - 1):
        x = torch.tensor(signed(word, 32), dtype=torch.int32)
        assert int(x) & 0xFFFFFFFF == word and int(shifted(x, 13, 32)) == word >> 13


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_earliest_is_the_winner_of_the_race(dtype):
    weights = torch.randn(5, 101, generator=torch.Generator().manual_seed(0)).softmax(-1).to(dtype)
    weights[:, ::3] = 0
    expected = race(weights, KEYS, "accept", "select", (STEPS, 2), live=torch.ones(5, dtype=torch.bool))
    assert torch.equal(earliest(weights, words_of(STEPS, 2)), expected)
    assert not torch.equal(earliest(weights, words_of(STEPS, 3)), expected)


@pytest.mark.parametrize("bad", [0.0, torch.nan])
def test_a_live_row_that_nothing_can_be_drawn_for_is_named(bad):
    weights = torch.ones(5, 7)
    weights[3] = bad
    token, live = earliest(weights, words_of(STEPS)), torch.ones(5, dtype=torch.bool)
    assert (token == NOTHING).tolist() == [False, False, False, True, False]
    with pytest.raises(PenstockError, match="stage drafter: row 3 has nothing to draw from"):
        supported(token, "drafter", live=live)
    live[3] = False
    assert int(supported(token, "drafter", live=live)[3]) == 0
