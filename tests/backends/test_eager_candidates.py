"""Truncations on the host without a sort: exactly the tokens of the meaning, on every shape of row."""

import math

import pytest
import torch
from torch import Tensor

from penstock.backends.eager import blocks, candidates as host, few, thresholds
from penstock.backends.eager.blocks import Blocks
from penstock.backends.eager.shaping import min_p, repetition_penalty, top_k, top_p
from penstock.ir.ops import candidates as meaning, logits, threshold

WIDE, NARROW = 5003, 37
"""Neither a power of two, nor of whole blocks; wider than `FEW`, and narrower than a block."""


def normal(size: int, scale: float) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(size)) * scale


def masked(x: Tensor) -> Tensor:
    return x.masked_fill(torch.arange(len(x)) % 3 > 0, -torch.inf)


def clustered(x: Tensor) -> Tensor:
    """The largest stand side by side, in few blocks."""
    return x + 9 * (torch.arange(len(x)) - len(x) // 2).abs().lt(len(x) // 16)


SHAPES = {
    "flat": lambda n: normal(n, 0.5),
    "peaked": lambda n: normal(n, 6.0),
    "clustered": lambda n: clustered(normal(n, 1.0)),
    "ties": lambda n: (normal(n, 2.0) * 2).round() / 2,
    "bfloat16": lambda n: normal(n, 3.0).bfloat16(),
    "double": lambda n: normal(n, 3.0).double(),
    "masked": lambda n: masked(normal(n, 3.0)),
    "all equal": lambda n: torch.full((n,), 0.25),
    "little support": lambda n: normal(n, 1.0).masked_fill(torch.arange(n) % 7 != 3, -torch.inf),
    "none": lambda n: torch.full((n,), -torch.inf),
}
ROWS = pytest.mark.parametrize("row", [make(n) for make in SHAPES.values() for n in (WIDE, NARROW)], ids=lambda x: str(len(x)))


@ROWS
@pytest.mark.parametrize("k", [1, 2, 17, 400, 6000])
def test_the_k_largest(row, k):
    assert torch.equal(host.candidates(row, k), meaning.candidates.meaning(row, k))
    assert torch.equal(top_k(row, k), logits.top_k.meaning(row, k))


@ROWS
@pytest.mark.parametrize("k, alpha, t", [(1, 1.3, 1.0), (17, 0.6, 0.7), (17, 1.3, 3.0), (400, 5.0, 0.1), (6000, 1.3, 0.7)])
def test_the_k_largest_of_what_is_never_made(row, k, alpha, t):
    """Among the penalised: the likeliest, some at random, all."""
    order = row.sort(descending=True, stable=True).indices
    for places in (order[:3], order[:: len(order) // 20], order):
        seen = torch.zeros(len(row), dtype=torch.bool).index_fill(0, places, True)
        assert found_as_meant(row, seen, alpha, t, k)
    assert found_as_meant(row, None, 1.0, t, k)


def found_as_meant(*given) -> bool:
    """Whether the host finds the very values and ids of the meaning."""
    return all(map(torch.equal, host.shaped_candidates(*given), meaning.shaped_candidates.meaning(*given)))


def neighbours() -> Tensor:
    """The largest of each block are adjacent numbers, the larger ones last; a division by 0.9 or 1.8 makes many of them equal."""
    row = normal(WIDE, 0.1)
    row[64 :: blocks.WIDEST] = torch.tensor([1.9 + n * 2.0**-23 for n in range(40)])[: len(row[64 :: blocks.WIDEST])]
    return row


@pytest.mark.parametrize("t", [0.9, 1.8])
def test_logits_that_tie_only_once_divided(t):
    row = neighbours()
    assert len((row / t).unique()) < len(row.unique()) - 9
    for k in range(1, 19):
        assert found_as_meant(row, None, 1.0, t, k)


def test_a_bound_that_forgets_what_division_rounds_together_is_seen(monkeypatch):
    row = neighbours()
    monkeypatch.setattr(host, "ROUNDINGS", 0)
    assert not all(found_as_meant(row, None, 1.0, 1.8, k) for k in range(1, 19))


def test_a_bound_that_forgets_the_penalised_is_seen(monkeypatch):
    row, right = normal(WIDE, 3.0), Blocks.bounds
    seen = row > row.sort(descending=True).values[30]
    assert found_as_meant(row, seen, 9.0, 1.0, 17)
    monkeypatch.setattr(Blocks, "bounds", lambda of, k: right(of, 17))
    assert not found_as_meant(row, seen, 9.0, 1.0, 17)


def test_the_raised_are_candidates_wherever_they_stand(monkeypatch):
    """Below 1 a penalty lifts what was seen, from below every bound."""
    row = normal(WIDE, 3.0)
    seen = (row > 1.0) & (row < 1.01)
    assert found_as_meant(row, seen, 0.01, 1.0, 17) and seen[host.shaped_candidates(row, seen, 0.01, 1.0, 17)[1]].any()
    monkeypatch.setattr(host.np, "union1d", lambda near, raised: near)
    assert not found_as_meant(row, seen, 0.01, 1.0, 17)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("alpha", [1.3, 0.6])
def test_quotients_that_are_too_large_are_infinite_without_a_warning(sign, alpha):
    """A mask may be the least number there is."""
    row = torch.full((WIDE,), sign * torch.finfo(torch.float32).min)
    row[[5, 900]] = torch.tensor([1.0, 2.0])
    seen = torch.arange(WIDE) % 3 == 0
    assert found_as_meant(row, seen, alpha, 0.7, 17)
    assert found_as_meant(row, None, 1.0, 0.7, 17)


def test_rows_at_once_and_a_k_of_the_request():
    rows = torch.stack([normal(WIDE, 3.0), normal(WIDE, 1.0).round()]).view(2, 1, WIDE).expand(2, 3, WIDE)
    assert torch.equal(host.candidates(rows, 5), meaning.candidates.meaning(rows, 5))
    assert torch.equal(host.candidates(rows[0, 0], torch.tensor(5.0)), meaning.candidates.meaning(rows[0, 0], 5))


TOGETHER = torch.stack([SHAPES[name](WIDE) for name in ("flat", "peaked", "clustered", "ties", "masked", "none")])


def test_rows_that_said_more_and_less_are_looked_through_together():
    seen = torch.stack([torch.arange(WIDE) % 997 < n for n in (0, 1, 40, 300, 0, 5)])
    for alpha in (1.3, 0.6):
        assert found_as_meant(TOGETHER, seen, alpha, 0.7, 17)


@pytest.mark.parametrize("kernel", [top_p, min_p])
def test_few_tokens_of_many_rows_are_cut_as_each_row_alone(kernel):
    """Bit by bit, whatever the share, which a request may set: a batch changes no token."""
    rows = torch.cat([TOGETHER[:, :NARROW], torch.tensor([[torch.nan] * NARROW, [torch.inf] + [1e30] * (NARROW - 1)])])
    shares = torch.linspace(0.05, 1.0, len(rows))
    alone = torch.stack([kernel(row, share) for row, share in zip(rows, shares, strict=True)])
    assert torch.equal(kernel(rows[:, None], shares)[:, 0].nan_to_num(), alone.nan_to_num())
    assert torch.equal(kernel(rows, 0.4).nan_to_num(), torch.stack([kernel(row, 0.4) for row in rows]).nan_to_num())
    op = logits.top_p if kernel is top_p else threshold.min_p
    assert torch.equal(kernel(rows[:6], 0.4), op.meaning(rows[:6], 0.4))


def test_all_of_the_probability_is_all_tokens_though_sums_reach_it_early():
    row = torch.tensor([-60.0, 0.0, -70.0])
    assert torch.equal(top_p(row, 1.0), row)
    expected = torch.stack([row, row.masked_fill(row < 0, -torch.inf)])
    assert torch.equal(top_p(row.expand(2, 3), torch.tensor([1.0, 0.5])), expected)


@pytest.mark.parametrize("places", [[3], [5000], range(40, 60)])
def test_what_is_no_number_is_among_the_largest(places):
    row = normal(WIDE, 3.0)
    row[list(places)] = torch.nan
    assert torch.equal(host.candidates(row, 9), meaning.candidates.meaning(row, 9))


def ordered(row: Tensor) -> tuple[Tensor, Tensor]:
    """Ids by logit, the lowest first on ties, and what all before each of them weigh, in double precision."""
    order = row.double().sort(descending=True, stable=True).indices
    chance = row.double().softmax(-1)[order]
    return order, chance.cumsum(0) - chance


@ROWS
@pytest.mark.parametrize("p", [1e-6, 0.3, 0.9, 0.999])
def test_the_nucleus(row, p):
    """Those with less than p before them, where single precision tells; the likeliest always."""
    order, before = ordered(row)
    least, most = (max(1, int((before < p + d).sum())) for d in (-1e-5, 1e-5))
    found = set(thresholds.nucleus(row, p).tolist())
    if row.isneginf().all():
        assert len(found) == len(row)
    else:
        assert set(order[:least].tolist()) <= found <= set(order[:most].tolist())
        assert found == set(order[: len(found)].tolist())  # ties by the lowest id
    kept = ~top_p(row, p).isneginf()
    assert kept.nonzero()[:, 0].tolist() == sorted(x for x in found if row[x] > -torch.inf)


@pytest.mark.parametrize("scale", [0.5, 2.0, 6.0])
@pytest.mark.parametrize("p", [0.2, 0.5, 0.95])
def test_the_nucleus_is_that_of_the_meaning_where_the_boundary_is_clear(scale, p):
    row = normal(WIDE, scale)
    assert (ordered(row)[1] - p).abs().min() > 1e-7
    assert torch.equal(thresholds.nucleus(row, p), meaning.nucleus.meaning(row, p))


@pytest.mark.parametrize("few", [8, 64])
def test_bisection_ends_where_a_sort_would(monkeypatch, few):
    """Also with many probes, and where one lands on the boundary."""
    row = normal(WIDE, 0.7)
    expected = meaning.nucleus.meaning(row, 0.8)
    least = float(row[expected].min())
    monkeypatch.setattr(thresholds, "FEW", few)
    assert torch.equal(thresholds.nucleus(row, 0.8), expected)
    monkeypatch.setattr(Blocks, "bounds", lambda of, k: torch.tensor([least]).numpy())
    assert torch.equal(thresholds.nucleus(row, 0.8), expected)


@pytest.mark.parametrize("size", [5, WIDE])
@pytest.mark.parametrize("p, ids", [(0.49, [1]), (0.51, [1, 2]), (0.74, [1, 2]), (0.76, [1, 2, 4])])
def test_the_token_that_reaches_p_is_the_last(p, ids, size):
    """Planted: .5, .25, .25."""
    row = torch.full((size,), -torch.inf)
    row[[1, 2, 4]] = torch.tensor([0.5, 0.25, 0.25]).log()
    assert thresholds.nucleus(row, p).tolist() == ids


def test_of_equal_tokens_the_lowest_ids_are_the_nucleus():
    assert thresholds.nucleus(torch.zeros(WIDE), 0.3).tolist() == [*range(math.ceil(0.3 * WIDE))]


@ROWS
@pytest.mark.parametrize("p", [0.0, 0.05, 1.0])
def test_min_p(row, p):
    assert torch.equal(thresholds.near_the_top(row, p), meaning.near_the_top.meaning(row, p))


def test_a_penalty_of_a_row_shared_by_sites():
    rows = normal(WIDE, 3.0).bfloat16().expand(2, 3, WIDE)
    seen = torch.arange(WIDE).remainder(11).eq(0).expand(2, 3, WIDE)
    before = rows.clone()
    assert torch.equal(repetition_penalty(rows, seen, 1.3), logits.repetition_penalty.meaning(rows, seen, 1.3))
    assert torch.equal(rows, before)


@ROWS
@pytest.mark.parametrize("k", [1, 3, 300])
def test_blocks_leave_out_nothing(row, k):
    """At any floor, of values that are left over from whole blocks too, and of what is no number."""
    values = torch.stack([row.float(), row.float().index_fill(0, torch.tensor([0, len(row) - 1]), torch.nan)]).numpy()
    of = Blocks.of(values, k)
    floors = [-math.inf, *values[0, :: len(row) // 5].tolist(), math.inf]
    for pair in zip(floors, reversed(floors), strict=True):
        expected = [(r, i) for r in range(2) for i, x in enumerate(values[r].tolist()) if not x < pair[r]]
        found = of.not_below(torch.tensor(pair, dtype=torch.float32).numpy())
        assert list(zip(*divmod(found, len(row)), strict=True)) == expected


# --- planted faults ------------------------------------------------------------------------------------------------
def test_ties_by_the_highest_id_are_seen(monkeypatch):
    row, right = SHAPES["ties"](WIDE), few.largest
    for module in (host, thresholds):
        monkeypatch.setattr(module, "largest", lambda values, k: right(values[..., ::-1], k)[..., ::-1])
    assert not torch.equal(host.candidates(row, 17), meaning.candidates.meaning(row, 17))
    assert thresholds.nucleus(torch.zeros(WIDE), 0.3).tolist() != [*range(math.ceil(0.3 * WIDE))]


def test_a_bound_that_is_one_block_short_is_seen(monkeypatch):
    row, right = normal(WIDE, 3.0), Blocks.bounds
    monkeypatch.setattr(Blocks, "bounds", lambda of, k: right(of, 1))
    with pytest.raises(ValueError, match="kth"):  # there are no 17
        host.candidates(row, 17)


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_a_nucleus_without_the_token_that_reaches_p_is_seen(monkeypatch, scale):
    row, right, last = normal(WIDE, scale), thresholds.reaching, thresholds.last_of

    def short(values, *given):
        least, count = last(values, *given)
        return values[values > least].min(), count - 1

    monkeypatch.setattr(thresholds, "last_of", short)
    monkeypatch.setattr(thresholds, "reaching", lambda values, *given: right(values, *given)[:-1])
    assert not torch.equal(thresholds.nucleus(row, 0.9), meaning.nucleus.meaning(row, 0.9))
