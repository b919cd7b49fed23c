"""A* on trees with given scores: against enumeration and uniform-cost search, and with its known mistakes planted."""

import heapq
import random
from collections.abc import Sequence
from itertools import product

import pytest

from penstock.library.search import best_first
from penstock.library.search.astar import COSTS
from penstock.library.search.best_first import Node, Search, clamped

DEPTH, WIDTH, ROOT = 4, 3, 0.5
PATHS = [path for n in range(1, DEPTH + 1) for path in product(range(WIDTH), repeat=n)]


def tree(seed: int) -> dict[tuple[int, ...], float]:
    """A score for every path of a full tree."""
    draws = random.Random(seed)
    return {path: draws.random() for path in PATHS}


def searched(r, cost: str = "abs_delta", *, kind: type[Search] = Search, order: Sequence[int] = range(WIDTH), **how) -> Search:
    """The search of a tree whose sampler returns all children; paths of full depth are goals."""
    search = kind(Node((), ROOT), COSTS[cost], **how)
    while (node := search.next()) is not None:
        paths = [(*node.text, i) for i in order if (*node.text, i) in r]
        search.grow(node, [Node(p, 0.0, goal=len(p) == DEPTH) for p in paths], [r[p] for p in paths])
    return search


def f_of(r, path, cost: str = "abs_delta") -> float:
    """f written out: what the path cost, and how far its end is from perfect."""
    scores = [ROOT, *(r[path[: i + 1]] for i in range(len(path)))]
    return sum(COSTS[cost](a, b) for a, b in zip(scores, scores[1:], strict=False)) + 1 - scores[-1]


def best_leaf(r) -> float:
    return min(f_of(r, path) for path in PATHS if len(path) == DEPTH)


def uniform_cost(r) -> set[tuple[int, ...]]:
    """What uniform-cost search expands: no heuristic, and a last edge of 1 - r below every goal."""
    heap, expanded = [(0.0, ())], set()
    while True:
        g, path = heapq.heappop(heap)
        if len(path) == DEPTH:
            return expanded
        expanded.add(path)
        for child in ((*path, i) for i in range(WIDTH)):
            f = f_of(r, child)
            heapq.heappush(heap, (f if len(child) == DEPTH else f - (1 - r[child]), child))


def test_the_first_goal_popped_has_the_least_f_of_all_goals():
    for seed in range(500):
        search = searched(r := tree(seed))
        assert search.outcome == "goal" and abs(search.result.f - best_leaf(r)) < 1e-9


def test_f_never_falls_and_is_the_telescoped_sum_of_drops():
    for seed in range(50):
        search = searched(r := tree(seed))
        for node in search.nodes[1:]:
            assert node.f >= node.parent.f - 1e-9 and abs(node.f - f_of(r, node.text)) < 1e-9
            scores = [ROOT, *(r[node.text[: i + 1]] for i in range(node.depth))]
            drops = sum(max(0.0, a - b) for a, b in zip(scores, scores[1:], strict=False))
            assert abs(node.f - (1 - ROOT + 2 * drops)) < 1e-9
        popped = [node.f for node in search.popped]
        assert all(a <= b + 1e-9 for a, b in zip(popped, popped[1:], strict=False))


def test_the_cost_of_drops_alone_is_not_consistent():
    r = {(0,): 0.9, (0, 0): 1.0}
    search = searched(r, "drop")
    assert [node.f for node in search.nodes] == pytest.approx([0.5, 0.1, 0.0])  # f falls along the path


def test_it_expands_a_part_of_what_uniform_cost_search_expands():
    mine = theirs = 0
    for seed in range(500):
        search, blind = searched(r := tree(seed)), uniform_cost(r)
        expanded = {node.text for node in search.popped if not node.goal}
        best = search.result.f
        assert all(path in blind for path in expanded if f_of(r, path) < best - 1e-9)
        mine, theirs = mine + len(expanded), theirs + len(blind)
    assert mine < theirs / 2


def backtracking() -> dict[tuple[int, ...], float]:
    """The better looking first child leads to nothing."""
    r = {path: 0.2 if path[0] == 0 else 0.95 for path in PATHS}
    return {**r, (0,): 0.9, (1,): 0.7, (2,): 0.1}


def test_it_goes_back_to_an_older_node():
    for cost in ("abs_delta", "drop", "zero"):
        assert searched(backtracking(), cost).result.text[0] == 1


def test_the_order_of_children_does_not_matter():
    for seed in range(50):
        r = tree(seed)
        results = {searched(r, cost, order=order).result.text for order in ((0, 1, 2), (2, 0, 1)) for cost in ("abs_delta",)}
        assert len(results) == 1


def test_of_equally_promising_texts_the_deeper_comes_first_whatever_the_floats_say():
    rising = {(0,) * n: 0.5 + 0.1 * n for n in range(1, 5)} | {(1,): 0.6, (2,): 0.7}
    search = searched(rising)
    assert len({node.f for node in search.nodes}) > 1  # equal but for rounding
    assert [node.text for node in search.popped] == [(), (2,), (0,), (0, 0), (0, 0, 0), (0, 0, 0, 0)]


def test_scores_out_of_range_are_brought_into_it():
    assert [clamped(x) for x in (-1, 2, float("nan"), 0.3)] == [0, 1, 0, 0.3]


# --- planted faults -----------------------------------------------------------------------------------------------------------


class GoalWhenGenerated(Search):
    def grow(self, parent, children, scores):
        super().grow(parent, children, scores)
        goals = [child for child in children if child.goal]
        if goals and self.outcome is None:
            self.outcome, self.result = "goal", min(goals, key=best_first.promise)


class NoOpenList(Search):
    """Chooses among the children of the last node only."""

    def grow(self, parent, children, scores):
        self._heap.clear()
        super().grow(parent, children, scores)


class ForgetfulCost(Search):
    """The cost of the last step instead of the path's."""

    def grow(self, parent, children, scores):
        kept, parent.g = parent.g, 0.0
        super().grow(parent, children, scores)
        parent.g = kept


@pytest.mark.parametrize("fault", [GoalWhenGenerated, NoOpenList, ForgetfulCost])
def test_planted_searches_that_do_not_find_the_least_f(fault):
    wrong = 0
    for seed in range(60):
        r = tree(seed)
        wrong += abs(f_of(r, searched(r, kind=fault).result.text) - best_leaf(r)) > 1e-6
    assert wrong > 5
    if fault is NoOpenList:
        assert searched(backtracking(), kind=fault).result.text[0] == 0
    if fault is ForgetfulCost:
        r = tree(0)
        assert any(abs(node.f - f_of(r, node.text)) > 1e-6 for node in searched(r, kind=fault).nodes[1:])


def test_planted_a_heuristic_upside_down(monkeypatch):
    monkeypatch.setattr(Node, "f", property(lambda node: node.g + node.r))
    mine = theirs = wrong = 0
    for seed in range(60):
        search, blind = searched(r := tree(seed)), uniform_cost(r)
        mine, theirs = mine + sum(not node.goal for node in search.popped), theirs + len(blind)
        wrong += abs(f_of(r, search.result.text) - best_leaf(r)) > 1e-6
    assert wrong > 5 or mine > theirs / 2
