"""The slot cache: every operation against a slow one written slot by slot."""

import pytest
import torch

from penstock.backends.runtime.cache import SlotCache

ROWS, SLOTS = 3, 7


def filled(seed: int = 0) -> SlotCache:
    cache = SlotCache.empty(ROWS, SLOTS, layers=2, heads=2, width=3, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    cache.buffer.copy_(torch.randn(cache.buffer.shape, generator=generator, dtype=torch.float64))
    cache.positions.copy_(torch.randint(0, 50, cache.positions.shape, generator=generator))
    return cache


def test_write_then_read_puts_each_column_in_its_own_slot() -> None:
    cache = filled()
    before = cache.buffer.clone()
    slots = torch.tensor([[0, 4], [5, 2], [6, SLOTS]])
    values = torch.randn(ROWS, 2, 2, 3, dtype=torch.float64)
    cache.write(1, 0, slots, values)
    for b in range(ROWS):
        for j in range(2):
            before[1, 0, b, :, slots[b, j]] = values[b, :, j]
    assert torch.equal(cache.buffer, before)
    assert torch.equal(cache.read(1, 0, 5), before[1, 0, :, :, :5])
    assert cache.read(1, 0, 5).data_ptr() == cache.buffer[1, 0].data_ptr()


def test_place_records_positions() -> None:
    cache = SlotCache.empty(2, 3, layers=1, heads=1, width=1)
    cache.place(torch.tensor([[0, 1], [2, 3]]), torch.tensor([[5, 6], [7, 8]]))
    assert cache.positions.tolist() == [[5, 6, 0, 0], [0, 0, 7, 8]]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ([[2, 3], [4, 6], [1, 1]], [[1, 2], [3, 4], [SLOTS, SLOTS]]),  # overlapping, ragged
        ([[1, 2], [1, 2], [1, 2]], [[2, 1], [1, 2], [2, 3]]),  # a swap: needs reading before writing
        ([[3, 4], [3, 5], [3, 4]], [[3, 4], [3, 4], [3, 4]]),  # one row moves one slot
    ],
)
def test_move_reads_before_it_writes(source: list[list[int]], target: list[list[int]]) -> None:
    cache, before = filled(), filled()
    cache.move(torch.tensor(source), torch.tensor(target))
    expected, places = before.buffer.clone(), before.positions.clone()
    for b in range(ROWS):
        for s, t in zip(source[b], target[b], strict=True):
            expected[:, :, b, :, t] = before.buffer[:, :, b, :, s]
            places[b, t] = before.positions[b, s]
    live = slice(0, SLOTS)  # the trash slot may hold anything
    assert torch.equal(cache.buffer[..., live, :], expected[..., live, :])
    assert torch.equal(cache.positions[:, live], places[:, live])


def test_a_move_that_moves_nothing_writes_nothing() -> None:
    cache = filled()
    version = cache.buffer._version, cache.positions._version
    cache.move(torch.tensor([[0, 1, 5]] * ROWS), torch.tensor([[0, 1, SLOTS]] * ROWS))
    assert (cache.buffer._version, cache.positions._version) == version


def test_take_copies_rows_and_may_repeat_them() -> None:
    cache = filled()
    taken = cache.take(torch.tensor([2, 0, 2, 1]))
    assert torch.equal(taken.buffer, cache.buffer[:, :, [2, 0, 2, 1]])
    assert torch.equal(taken.positions, cache.positions[[2, 0, 2, 1]])
    taken.write(0, 0, torch.zeros(4, 1, dtype=torch.int64), torch.zeros(4, 2, 1, 3, dtype=torch.float64))
    assert torch.equal(cache.buffer, filled().buffer)


def test_clear_from_makes_caches_of_equal_texts_equal() -> None:
    one, two, first = filled(), filled(), torch.tensor([0, 3, SLOTS])
    two.buffer[:, :, 1, :, 3:] = torch.nan
    two.buffer[:, :, 2, :, SLOTS:] = 5.0
    two.positions[1, 4] = 99
    for cache in (one, two):
        cache.clear_from(first)
    for left, right in zip(one.leaves(), two.leaves(), strict=True):
        assert torch.equal(left, right)
    assert torch.equal(one.buffer[:, :, 1, :, :3], filled().buffer[:, :, 1, :, :3])
    assert one.buffer[:, :, 0].abs().sum() == 0
    assert one.positions[0].sum() == 0


def test_leaves_lead_with_rows_and_share_storage() -> None:
    cache = filled()
    assert [leaf.shape[0] for leaf in cache.leaves()] == [ROWS, ROWS]
    cache.leaves()[0][1].zero_()
    assert cache.buffer[:, :, 1].abs().sum() == 0
