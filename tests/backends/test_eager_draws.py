"""Draws on the host: the noise that ops have, bit by bit, and K-SEQ's deflation."""

from typing import Any

import numpy as np
import pytest
import torch
from host_kernels import V, floats

from penstock.backends.eager import race as host
from penstock.backends.eager.rules import deflation, owed
from penstock.ir.noise import addresses, exponentials
from penstock.ir.ops.accept import kseq_plan


def test_the_host_has_the_very_bits_of_the_noise():
    words = addresses(torch.arange(9), "s", "select", (torch.arange(9) * 5,))
    tokens, one = host.token_words(1000), host.halved(int(words[4]))
    assert torch.equal(-host.negated(tokens, *map(np.uint32, one)), exponentials(words[4:5], 1000)[0])
    low, high = words.astype(np.uint32)[:, None], (words >> np.uint64(32)).astype(np.uint32)[:, None]
    assert torch.equal(-host.negated(tokens, low, high), exponentials(words, 1000))


def test_a_row_that_is_not_live_draws_nothing(monkeypatch):
    drawn: list[Any] = []
    monkeypatch.setattr(host, "winners", lambda weights, words: drawn.append((len(weights), len(words))) or [1])
    assert host.race(floats(2, V).softmax(-1), [1, 2], "s", "draft", ([0, 0], 1), live=[False, True]) == [0, 1]
    assert drawn == [(1, 1)]


def test_rows_beyond_the_cache_draw_what_they_draw_together(monkeypatch):
    weights, words = floats(9, V).softmax(-1), list(range(9))
    together = host.winners(weights, words)
    monkeypatch.setattr(host, "CACHED", 2 * V)
    assert host.winners(weights, words) == together


@pytest.mark.parametrize("count", [2, 3, 4, 16])
@pytest.mark.parametrize("sharp", [0.3, 2.0, 9.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_deflation_is_that_of_the_plan_and_the_rest_is_never_negative(count, sharp, dtype):
    for seed in range(12):
        t, d = (torch.randn(2, 300, generator=torch.Generator().manual_seed(seed)) * sharp).to(dtype).softmax(-1)
        rho, plan = deflation(t, d, count), kseq_plan.meaning(t[None], d[None], torch.tensor([count]))
        within = dict(rtol=1e-6 if dtype == torch.float64 else 2e-5, atol=0)
        torch.testing.assert_close(torch.tensor([rho], dtype=dtype), plan[0], **within)
        rest = owed(t, d, rho, count)
        assert rest.min() >= 0
        torch.testing.assert_close(rest, plan[1][0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("other", [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5], [1.0, 0.0, 0.0, 0.0], [1e-9, 1e-9, 0.5, 0.5]])
def test_distributions_that_are_equal_or_apart_end_as_the_plan_does(other):
    t, d = torch.tensor([0.5, 0.5, 0.0, 0.0]), torch.tensor(other)
    plan = kseq_plan.meaning(t[None], d[None], torch.tensor([3]))
    assert deflation(t, d, 3) == pytest.approx(float(plan[0]), rel=1e-5)
    torch.testing.assert_close(owed(t, d, float(plan[0]), 3), plan[1][0], rtol=0, atol=1e-6)
