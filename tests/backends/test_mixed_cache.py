"""A cache of several shapes does with every plane what a slot cache of its own would do."""

import pytest
import torch

from penstock.backends.runtime.cache import SlotCache
from penstock.backends.runtime.mixed_cache import MixedCache, places_of

SHAPES = {(0, 0): (2, 3), (0, 1): (2, 2), (1, 0): (2, 3), (1, 1): (2, 2), (2, 0): (1, 3)}
"""Keys wider than values, a layer that keeps but one plane, another that keeps none."""
ROWS, SLOTS = 3, 5


def filled(seed=0, rows=ROWS, slots=SLOTS):
    """The cache, and one slot cache a plane that holds the same."""
    draws = torch.Generator().manual_seed(seed)
    mixed = MixedCache.empty(rows, slots, SHAPES, torch.float64, "cpu")
    alone = {
        plane: SlotCache.empty(rows, slots, layers=1, heads=h, width=w, kinds=1, dtype=torch.float64)
        for plane, (h, w) in SHAPES.items()
    }
    at = torch.arange(slots + 1).expand(rows, -1)
    for each in (mixed, *alone.values()):
        each.place(at, at + 7)
    for (layer, kind), (h, w) in SHAPES.items():
        values = torch.randn(rows, h, slots + 1, w, generator=draws, dtype=torch.float64)
        mixed.write(layer, kind, at, values)
        alone[layer, kind].write(0, 0, at, values)
    return mixed, alone


def assert_same(mixed, alone):
    for (layer, kind), cache in alone.items():
        assert torch.equal(mixed.read(layer, kind, mixed.slots), cache.read(0, 0, mixed.slots))
        assert torch.equal(mixed.positions[:, : mixed.slots], cache.positions[:, : mixed.slots])


def test_planes_of_one_shape_share_a_part_and_no_two_a_place():
    places, parts = places_of(SHAPES)
    assert parts == [((2, 3), 2), ((2, 2), 2), ((1, 3), 1)]
    assert len(set(places.values())) == len(SHAPES)
    assert_same(*filled())


def test_slots_move_in_every_part():
    mixed, alone = filled()
    source, target = torch.tensor([[3, 4], [1, 5], [4, 2]]), torch.tensor([[1, 2], [0, 5], [2, 4]])
    for each in (mixed, *alone.values()):
        each.move(source, target)
    assert_same(mixed, alone)
    assert not torch.equal(mixed.read(0, 1, SLOTS), filled()[0].read(0, 1, SLOTS))


def test_rows_are_taken_joined_and_cleared_in_every_part():
    (mixed, alone), (more, others) = filled(), filled(1, rows=2, slots=8)
    rows = torch.tensor([2, 0, 2])
    assert_same(mixed.take(rows), {plane: cache.take(rows) for plane, cache in alone.items()})
    joined = mixed.cat(more)
    assert joined.slots == 8
    assert_same(joined, {plane: cache.cat(others[plane]) for plane, cache in alone.items()})
    for each in (mixed, *alone.values()):
        each.clear_from(torch.tensor([0, 2, 6]))
    assert_same(mixed, alone)
    assert not mixed.read(2, 0, SLOTS)[0].any() and mixed.read(2, 0, SLOTS)[1, :, :2].all()


def test_leaves_are_the_state_itself():
    mixed, _ = filled()
    for leaf in mixed.leaves():
        assert len(leaf) == ROWS
        leaf.zero_()
    assert not any(mixed.read(*plane, SLOTS).any() for plane in SHAPES)
    with pytest.raises(KeyError):
        mixed.read(2, 1, SLOTS)
