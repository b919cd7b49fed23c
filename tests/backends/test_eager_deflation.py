"""K-SEQ's rho on the host: as its plan's bisection has it, and never looked for where a comparison is enough."""

from itertools import product

import pytest
import torch
from torch import Tensor

from penstock.backends.eager.deflation import Deflation
from penstock.ir.ops.accept import kseq_plan

SHARP = [0.3, 2.0, 9.0]
COUNTS = [2, 3, 4, 16]


def pair(seed: int, sharp: float, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    t, d = (torch.randn(2, 300, generator=torch.Generator().manual_seed(seed)) * sharp).to(dtype).softmax(-1)
    return t, d


def planned(t: Tensor, d: Tensor, count: int) -> tuple[float, Tensor]:
    rho, owed = kseq_plan.meaning(t[None], d[None], torch.tensor([count]))
    return float(rho), owed[0]


@pytest.fixture
def passes(monkeypatch) -> list[float]:
    """Where the tokens are gone over."""
    seen: list[float] = []
    own = Deflation.slope_at
    monkeypatch.setattr(Deflation, "slope_at", lambda deflation, rho: seen.append(rho) or own(deflation, rho))
    return seen


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("sharp", SHARP)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rho_is_that_of_the_plan_and_what_is_owed_is_never_negative(count, sharp, dtype):
    for seed in range(12):
        t, d = pair(seed, sharp, dtype)
        found, (rho, plan) = Deflation(t, d, count), planned(t, d, count)
        assert found.rho() == pytest.approx(rho, rel=1e-6 if dtype == torch.float64 else 2e-5)
        rest = found.owed()
        assert rest.min() >= 0
        torch.testing.assert_close(rest, plan, rtol=0, atol=1e-6)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("sharp", SHARP)
def test_a_bar_is_on_the_side_of_rho_that_it_is_on_whatever_was_asked_before(count, sharp):
    for seed in range(6):
        t, d = pair(seed, sharp)
        rho, asked = planned(t, d, count)[0], Deflation(t, d, count)
        for share in (0.4, 1.5, 0.99, 1.01, 0.9999, 1.0001, 3.0, 1.02):
            assert asked.below(share * rho) == (share > 1)
        assert asked.low <= rho <= asked.high
        assert asked.rho() == pytest.approx(rho, rel=1e-6)


def test_a_bar_costs_one_pass_at_most_and_none_where_an_earlier_one_told(passes):
    t, d = pair(1, 2.0)
    rho, asked = planned(t, d, 4)[0], Deflation(t, d, 4)
    assert not asked.below(0.7) and not asked.below(1.0) and asked.below(4.0) and asked.below(9.0)
    assert not passes
    assert asked.below(rho + 0.1) and not asked.below(rho - 0.1)
    assert passes == [rho + 0.1, rho - 0.1]
    assert asked.below(rho + 0.2) and not asked.below(rho - 0.2) and len(passes) == 2
    assert not asked.below(float("nan")) and len(passes) == 2


def test_few_passes_find_rho(passes):
    counts = []
    for (seed, sharp), count in product(product(range(20), SHARP), (2, 4)):
        passes.clear()
        Deflation(*pair(seed, sharp, torch.float32), count).rho()
        counts.append(len(passes))
    assert max(counts) <= 12 and sum(counts) / len(counts) < 6


def test_an_only_child_is_not_deflated(passes):
    t, d = pair(2, 2.0)
    alone = Deflation(t, d, 1)
    assert alone.below(1.0) and not alone.below(0.999)
    torch.testing.assert_close(alone.owed(), planned(t, d, 1)[1])
    assert not passes


@pytest.mark.parametrize("other", [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5], [1.0, 0.0, 0.0, 0.0], [1e-9, 1e-9, 0.5, 0.5]])
def test_distributions_that_are_equal_or_apart_end_as_the_plan_does(other):
    t, d = torch.tensor([0.5, 0.5, 0.0, 0.0]), torch.tensor(other)
    found, (rho, plan) = Deflation(t, d, 3), planned(t, d, 3)
    assert found.rho() == pytest.approx(rho, rel=1e-5)
    torch.testing.assert_close(found.owed(), plan, rtol=0, atol=1e-6)
