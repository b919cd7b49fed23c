"""Noise: Philox against Random123's known answers, one value wherever it is computed, and uniform where chi-square can see."""

import math

import numpy as np
import pytest
import torch

from penstock.ir.noise import address, addresses, exponential, exponentials, fold, philox, request_key, stream
from penstock.ir.ops.random import race

KNOWN = [  # Random123's kat_vectors, philox4x32 10: counter, key, first two words
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB)),
]


@pytest.mark.parametrize("counter, key, words", KNOWN)
def test_philox_gives_the_known_answers(counter, key, words):
    assert philox(counter, key) == words


def test_addresses_are_the_same_one_by_one_and_all_at_once():
    keys = torch.tensor([0, 7, 7, 2**62 + 11])
    steps = torch.tensor([0, 3, 4, 2**33])
    words = addresses(keys, "drafter.model.0", "draft", (steps, 5))
    alone = [address(int(k), "drafter.model.0", "draft", (int(s), 5)) for k, s in zip(keys, steps, strict=True)]
    assert words.tolist() == alone
    assert len(set(alone)) == 4


def test_every_part_of_an_address_counts():
    base = address(7, "a", "draft", (1, 2))
    others = [
        address(8, "a", "draft", (1, 2)),
        address(7, "b", "draft", (1, 2)),
        address(7, "a", "select", (1, 2)),
        address(7, "a", "draft", (2, 1)),
        address(7, "a", "draft", (1,)),
        address(7, "a", "draft", (1, 2, 0)),
    ]
    assert len({base, *others}) == 7
    assert stream(7 + 2**32, "a", "draft") != stream(7, "a", "draft")


def test_the_host_computes_the_same_exponential():
    words = addresses(torch.arange(50), "s", "select", (torch.arange(50) * 3,))
    table = exponentials(words, 40)
    for row, word in enumerate(words.tolist()):
        mine = torch.tensor([exponential(word, token) for token in range(40)], dtype=torch.float32)
        torch.testing.assert_close(mine, table[row], rtol=3e-7, atol=0)


def test_a_token_keeps_its_noise_in_any_vocabulary():
    words = addresses(torch.arange(4), "s", "select", (0,))
    assert torch.equal(exponentials(words, 1000)[:, :17], exponentials(words, 17))


def test_request_keys_tell_prompts_seeds_and_occurrences_apart():
    keys = [request_key(s, p, o) for s in (0, 1) for p in ([1], [1, 0], [0, 1]) for o in (0, 1)]
    assert len(set(keys)) == 12
    assert all(0 <= k < 2**63 for k in keys)


@pytest.mark.parametrize("across", ["tokens", "positions", "keys", "steps and ranks"])
def test_exponentials_are_exponential_along_every_coordinate(across):
    """Kolmogorov-Smirnov over 40,000 values; the bound is passed by chance once in 10,000 seeds, and the seed is fixed."""
    n = 40_000
    zero = torch.zeros(n, dtype=torch.long)
    if across == "tokens":
        values = exponentials(addresses(zero[:1], "s", "select", (0,)), n)[0]
    elif across == "positions":
        values = exponentials(addresses(zero, "s", "select", (torch.arange(n),)), 1)[:, 0]
    elif across == "keys":
        values = exponentials(addresses(torch.arange(n), "s", "select", (0,)), 1)[:, 0]
    else:
        values = exponentials(addresses(zero, "s", "accept", (torch.arange(n) // 8, 1, torch.arange(n) % 8)), 1)[:, 0]
    u = np.sort(1 - np.exp(-values.double().numpy()))
    grid = np.arange(n)
    distance = max((u - grid / n).max(), ((grid + 1) / n - u).max())
    assert distance * math.sqrt(n) < math.sqrt(math.log(2 / 1e-4) / 2)


def test_small_values_are_exact_because_they_decide_races():
    values = exponentials(addresses(torch.arange(2000), "s", "select", (0,)), 500)
    least = float(values.min())
    assert 0 < least < 1e-5
    assert torch.isfinite(values).all()
    assert len(values[values < 1e-3].unique()) > 0.99 * int((values < 1e-3).sum())


@pytest.mark.parametrize("pair", ["neighbouring tokens", "neighbouring positions", "depth and rank", "stages"])
def test_neighbours_are_independent(pair):
    """Chi-square on 8 x 8 cells of two values that a decoder reads side by side: 49 degrees of freedom, p > 1e-4."""
    n = 40_000
    at, zero = torch.arange(n), torch.zeros(n, dtype=torch.long)
    if pair == "neighbouring tokens":
        values = exponentials(addresses(at, "s", "select", (0,)), 2)
        a, b = values[:, 0], values[:, 1]
    elif pair == "neighbouring positions":
        values = exponentials(addresses(zero, "s", "select", (at,)), 1)[:, 0]
        a, b = values[:-1], values[1:]
    elif pair == "depth and rank":
        a, b = (exponentials(addresses(zero, "s", "accept", (at, d, 1 - d)), 1)[:, 0] for d in (0, 1))
    else:
        a, b = (exponentials(addresses(zero, s, "select", (at,)), 1)[:, 0] for s in ("stage.0", "stage.1"))
    cell = [((1 - (-x.double()).exp()) * 8).long().clamp(max=7) for x in (a, b)]
    counts = torch.bincount(cell[0] * 8 + cell[1], minlength=64).double().view(8, 8)
    expected = counts.sum(1, keepdim=True) * counts.sum(0, keepdim=True) / counts.sum()
    assert float(((counts - expected) ** 2 / expected).sum()) < 97.0  # the 1e-4 quantile of chi-square with 49


def test_fold_scatters_nearby_coordinates():
    """Neighbouring inputs differ in about half of the 64 bits."""
    flips = [(fold(i, j) ^ fold(i, j + 1)).bit_count() for i in range(40) for j in range(40)]
    assert 31 < np.mean(flips) < 33
    assert min(flips) > 8


def test_the_least_exponential_over_its_weight_wins_in_proportion():
    """The race itself: 60,000 draws from (.6, .3, .1, 0), chi-square with 2 degrees of freedom, p > 1e-4."""
    n, p = 60_000, torch.tensor([0.6, 0.3, 0.1, 0.0], dtype=torch.float64)
    live = torch.ones(n, dtype=torch.bool)
    drawn = race(p.expand(n, -1), torch.arange(n), "s", "select", (0,), live=live)
    counts = torch.bincount(drawn, minlength=4).double()
    assert counts[3] == 0
    assert float((counts[:3] - n * p[:3]).square().div(n * p[:3]).sum()) < 18.4
    scaled = race(7.5 * p.expand(n, -1), torch.arange(n), "s", "select", (0,), live=live)
    assert torch.equal(drawn, scaled)  # weights need not sum to one
