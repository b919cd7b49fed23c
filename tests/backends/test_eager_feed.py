"""What a call is fed: its columns, and how much of a cache they attend to."""

import pytest

from penstock.backends.eager.feed import BUCKET, FETCHED, extent_of, feed_of


@pytest.mark.parametrize(
    ("end", "columns", "extent"),
    [
        (16, 5, 16),
        (17, 5, 32),
        (250, 5, 256),
        (289, 5, 300),  # the last bucket is not whole
        (17, 1, 32),
        (224, 1, 224),  # 76 slots behind it
        (225, 1, 300),  # 60: near enough for one column to read on to the end
        (225, 2, 240),
    ],
)
def test_whole_buckets_are_attended_to_and_by_one_column_the_end_of_the_cache(end, columns, extent):
    assert extent_of(end, columns, 300) == extent


def test_every_slot_that_is_visible_is_attended_to_and_none_that_there_is_not():
    for slots in (7, 70, 133, 300):
        for end in range(1, slots + 1):
            for columns in (1, 3):
                assert end <= extent_of(end, columns, slots) <= min(end + BUCKET + FETCHED * (columns == 1), slots)


TREE = (-1, -1, 0, 1, 1)
"""Parents of five nodes, of three levels."""


@pytest.mark.parametrize(("before", "new", "text"), [((), TREE, 1), ((), TREE, 3), (TREE[:2], TREE[2:], 0), ((), (), 2)])
def test_rows_are_fed_together_what_each_would_be_fed_alone(before, new, text):
    lengths, slots = [4, 17, 9], 40
    due, tokens = [list(range(n, n + text)) for n in lengths], [[7 * n + i for i in range(len(new))] for n in lengths]
    given = tokens if new else None
    together = feed_of(due, given, before, new, text, lengths, [True] * 3, True, slots)
    for b, length in enumerate(lengths):
        alone = feed_of(due[b : b + 1], given and given[b : b + 1], before, new, text, [length], [True], True, slots)
        for name in ("ids", "slots", "positions"):
            assert getattr(together, name)[b].tolist() == getattr(alone, name)[0].tolist()
        seen = [{i for i, there in enumerate(column) if there} for column in together.visible[b].tolist()]
        assert seen == [{i for i, there in enumerate(column) if there} for column in alone.visible[0].tolist()]


def test_columns_that_a_row_has_nothing_for_are_void_and_the_next_feed_knows_nothing_of_them():
    def fed(due, live):
        return feed_of(due, [[5, 6], [7, 8], [9, 9]], (), (-1, 0), 2, [1, 17, 9], live, all(live), 40)

    full = fed([[1, 2], [3, 4], [5, 6]], [True, True, True])
    feed = fed([[2], [3, 4], []], [True, True, False])
    assert feed.ids.tolist() == [[0, 2, 5, 6], [3, 4, 7, 8], [0, 0, 9, 9]]
    assert feed.slots.tolist() == [[40, *full.slots[0, 1:].tolist()], full.slots[1].tolist(), [40] * 4]
    assert feed.positions.tolist() == [[0, *full.positions[0, 1:].tolist()], full.positions[1].tolist(), [0] * 4]
    assert bool(feed.visible.any(-1).all()) and bool((feed.visible[0, 1:] == full.visible[0, 1:]).all())
    again = fed([[1, 2], [3, 4], [5, 6]], [True, True, True])
    assert bool((again.visible == full.visible).all()) and again.slots.tolist() == full.slots.tolist()
