"""Draws on the host: the noise that ops have, bit by bit."""

from typing import Any

import numpy as np
import torch
from host_kernels import V, floats

from penstock.backends.eager import race as host
from penstock.ir.noise import addresses, exponentials


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
