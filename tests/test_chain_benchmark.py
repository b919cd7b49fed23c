"""Both contenders of the sampling chain's benchmark draw from one distribution."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import chain as measured
from bound import prompts
from stub import ROWS

from penstock.backends.runtime.runner import Request

VOCAB, DRAWS = 211, 1500


@pytest.mark.parametrize("kind", measured.KINDS)
@pytest.mark.parametrize("chain", measured.CHAINS)
def test_contenders_draw_alike(chain, kind):
    """First tokens of requests are within sampling error of transformers' own probabilities, and never outside their support."""
    stages, processors = measured.CHAINS[chain]
    row = torch.randn(VOCAB, generator=torch.Generator().manual_seed(0))
    model = measured.Promoted("target", row.expand(ROWS, VOCAB).to(measured.KINDS[kind]))
    (text,) = prompts(1, 20, VOCAB, 2)
    expected = measured.Theirs(model, processors, [text]).chances(model.table[:1])[0]
    ours = measured.Ours(model, stages, [text], "eager").decoder
    done = ours.decode([Request({"target": text}, 1, key) for key in range(DRAWS)])
    found = torch.bincount(torch.tensor([result.tokens[0] for result in done]), minlength=VOCAB) / DRAWS
    assert not found[expected == 0].any() and (expected > 0).sum() > 9
    error = (expected * (1 - expected) / DRAWS).sqrt()
    assert ((found - expected).abs() < 4.5 * error + 1e-3).all()
