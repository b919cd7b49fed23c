"""The bookkeeping of drafts on lists: a few dozen small numbers a row, and distributions by column that are never copied."""

from functools import lru_cache, partial, reduce
from operator import add

import numpy as np
from torch import Tensor

from penstock.backends.eager.places import Columns, Numbers, from_numbers


def stacked(*tokens: Numbers) -> Numbers:
    return list(map(list, zip(*tokens, strict=True)))


def join_numbers(*parts: Numbers) -> Numbers:
    return list(reduce(partial(map, add), parts))


def join_columns(*parts: Columns) -> Columns:
    return [column for part in parts for column in part]


def repeated_columns(values: Columns, each: int) -> Columns:
    return [column for column in values for _ in range(each)]


def last_columns(values: Numbers, count: int) -> Numbers:
    return [row[-count:] for row in values]


def in_every_row(like: Numbers, values: tuple[int, ...]) -> Numbers:
    return same_rows(values, len(like))


@lru_cache(maxsize=256)
def same_rows(values: tuple[int, ...], rows: int) -> list[list[int]]:
    """Made once: nobody changes numbers in place."""
    return [list(values)] * rows


def tip_row(q: Columns, tip: int) -> Tensor:
    column: Tensor = q[tip]
    return column


def canonical_tip(tip_sites: Numbers, first: int) -> Numbers:
    return [[site - 1 - first for site in row] for row in tip_sites]


def widened(values: Tensor, count: int) -> Tensor:
    return values.unsqueeze(1) if count == 1 else values[:, None].expand(-1, count, *values.shape[1:])


def at(values: Numbers, index: Numbers) -> Numbers:
    return [row[max(i, 0)] for row, i in zip(values, index, strict=True)]


def at_each(values: Tensor, index: Numbers) -> Tensor:
    """Mostly every site is its own, and nothing moves."""
    sites, own = values.shape[1], list(range(values.shape[1]))
    if all(row == own for row in index):
        return values
    places = [b * sites + max(i, 0) for b, row in enumerate(index) for i in row]
    picked = values.flatten(0, 1).index_select(0, from_numbers(places, np.int64))
    return picked.view(len(index), -1, *values.shape[2:])


def reached_by(token: Numbers, ids: tuple[int, ...]) -> Numbers:
    return [[False, *(t in ids for t in row)] for row in token]


def sites(parent: Numbers, token: Numbers) -> tuple[Numbers, Numbers]:
    site, rank = list[list[int]](), list[list[int]]()
    for parents, tokens in zip(parent, token, strict=True):
        first: dict[tuple[int, int], int] = {}
        born: dict[int, int] = {}
        site.append([first.setdefault(pair, i + 1) for i, pair in enumerate(zip(parents, tokens, strict=True))])
        rank.append([])
        for p in parents:
            rank[-1].append(born.get(p, 0))
            born[p] = rank[-1][-1] + 1
    return site, rank
