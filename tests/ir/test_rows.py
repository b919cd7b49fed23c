"""Rows of different states as one batch: nothing moves, smaller buffers end in zeros, the trash slot stays the last."""

import pytest
import torch

from penstock.backends.runtime.cache import SlotCache
from penstock.ir.rows import cat, cat_states, drop_state, leaves, put_state, row_count, take, take_state
from penstock.ir.state import Register, new_sequence, new_view

GENERATOR = torch.Generator().manual_seed(0)


class Model:
    name, vocab, width, layers, capabilities = "m", 3, 2, 2, frozenset()

    def new_cache(self, rows, slots):
        cache = SlotCache.empty(rows, slots, layers=2, heads=1, width=2, dtype=torch.float64)
        cache.buffer.copy_(torch.randn(cache.buffer.shape, generator=GENERATOR, dtype=torch.float64))
        cache.positions.copy_(torch.randint(1, 9, cache.positions.shape, generator=GENERATOR))
        return cache


MODEL = Model()


def state(rows: int, capacity: int, longest: int):
    seq = new_sequence(rows, capacity, key=torch.arange(rows), limit=5, params={"t": torch.rand(rows, generator=GENERATOR)})
    seq.tokens.random_(1, 9, generator=GENERATOR)
    view = new_view(MODEL, [[1 + r] * (longest - r) for r in range(rows)], capacity)
    return {"seq": seq, "view:m": view, "reg:x": Register((torch.rand(rows, capacity) > 0.5, {"n": torch.arange(rows)}))}


def test_cat_then_take_gives_every_state_back_with_zeros_after_its_buffers():
    small, large = state(2, 4, 3), state(3, 6, 2)
    both = cat_states(small, large)
    for part, rows in ((small, [0, 1]), (large, [2, 3, 4])):
        again = take_state(both, torch.tensor(rows))
        for name in part:
            for mine, found in zip(leaves(part[name]), leaves(again[name]), strict=True):
                if name == "view:m" and mine.dim() == 6:
                    mine = mine[..., :-1, :]  # the trash slot holds anything, and moves
                if name == "view:m" and mine.dim() == 2 and mine.shape[1] == part[name].cache.slots + 1:
                    mine = mine[:, :-1]
                inside = tuple(slice(0, size) for size in mine.shape)
                assert torch.equal(found[inside], mine)
                rest = found.clone()
                rest[inside] = 0
                assert not rest.any()
    assert both["view:m"].cache.slots == max(small["view:m"].cache.slots, large["view:m"].cache.slots)
    assert both["view:m"].model is MODEL


def test_cat_copies():
    one = state(1, 3, 1)
    both = cat_states(one, one)
    both["seq"].tokens.zero_()
    both["view:m"].cache.buffer.zero_()
    assert one["seq"].tokens.any() and one["view:m"].cache.buffer.any()


def test_rows_of_other_models_do_not_join():
    one, other = state(1, 3, 1), state(1, 3, 1)
    other["view:m"].model = Model()
    with pytest.raises(ValueError, match="share"):
        cat_states(one, other)


def test_cat_of_one_is_take_of_all():
    one = state(3, 4, 2)
    for a, b in zip(leaves(cat(one)), leaves(take(one, torch.arange(3))), strict=True):
        assert a.shape == b.shape


def same_rows(mine, others):
    """Asserts that two states of equal buffers hold the same, trash slots aside."""
    for name in mine:
        for a, b in zip(leaves(mine[name]), leaves(others[name]), strict=True):
            slots = a.shape[-2] if a.dim() == 6 else a.shape[-1]
            kept = torch.arange(slots - 1) if name == "view:m" and a.dim() in (2, 6) else torch.arange(slots)
            a, b = ((x.index_select(-2 if a.dim() == 6 else -1, kept)) for x in (a, b)) if a.dim() > 1 else (a, b)
            assert torch.equal(a, b), name


def test_put_replaces_rows_and_drop_leaves_the_others():
    small, large = state(3, 4, 3), state(2, 6, 2)
    both = cat_states(small, large)
    same_rows(put_state(small, torch.tensor([2, 0]), large), take_state(both, torch.tensor([4, 1, 3])))
    same_rows(drop_state(both, torch.tensor([3, 0])), take_state(both, torch.tensor([1, 2, 4])))
    assert row_count(drop_state(both, torch.tensor([], dtype=torch.long))) == 5
