"""Both contenders of the sampling benchmark draw from the same distribution."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import sampling

VOCAB, ROWS, DRAWS = 211, 2, 600


@pytest.mark.parametrize("chain", sampling.CHAINS)
def test_contenders_draw_alike(chain):
    """Draws of fixed keys are within sampling error of transformers' own probabilities, and never outside their support."""
    x = 2 * sampling.logits("flat", ROWS, VOCAB)
    text = torch.randint(0, VOCAB, (ROWS, 20), generator=torch.Generator().manual_seed(2))
    ours, theirs = (made(sampling.CHAINS[chain], text, VOCAB) for made in (sampling.Penstock, sampling.Transformers))
    expected = theirs.chances(x)
    drawn = torch.stack([torch.as_tensor(ours(x)) for _ in range(DRAWS)]).view(DRAWS, ROWS)
    for b in range(ROWS):
        found = torch.bincount(drawn[:, b], minlength=VOCAB) / DRAWS
        assert not found[expected[b] == 0].any()
        error = (expected[b] * (1 - expected[b]) / DRAWS).sqrt()
        assert ((found - expected[b]).abs() < 4.5 * error + 2e-3).all()
    assert (expected > 0).sum(1).min() > 1
