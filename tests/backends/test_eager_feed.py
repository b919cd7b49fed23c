"""How much of a cache a call attends to."""

import pytest

from penstock.backends.eager.feed import BUCKET, FETCHED, extent_of


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
