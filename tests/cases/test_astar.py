"""A*: on trees against enumeration and uniform-cost search, on table models against a search with every child from scratch."""

import heapq
import random
from collections.abc import Sequence
from functools import cache
from itertools import product

import pytest
import torch

from penstock.backends.eager.lower import lower
from penstock.backends.runtime import runner as runtime
from penstock.backends.runtime.runner import Decoder, Request, derived, read
from penstock.backends.runtime.table import TableModel
from penstock.dsl.pipeline import Pipeline
from penstock.face import traced
from penstock.library import ModelDrafter, ModelVerifier, Temperature
from penstock.library.search import best_first
from penstock.library.search.astar import COSTS, AStar
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


# --- on models --------------------------------------------------------------------------------------------------------------

V, DELIMITER, EOS, LIMIT = 6, 0, 5, 40


def talkative(seed: int, layers: int) -> TableModel:
    """A table model that ends its steps often and its texts late."""
    model = TableModel(V, seed, layers, sharpness=0.8)
    model.tables[-1, ..., EOS] -= 1.0
    model.tables[-1, ..., DELIMITER] += 0.7
    return model


TABLES = {"t": talkative(3, 2), "draft:d": talkative(4, 1)}
DRAFTER = ModelDrafter(model="d", length=3)
PROMPTS = [[1], [2, 3, 1, 4], [3, 3]]


@cache
def decoder(*stages) -> Decoder:
    step = traced(Pipeline(models={"t": "table:6:3:2", "d": "table:6:4"}, stages=stages), (EOS,))
    return Decoder(step, {v: TABLES[v] for v in TABLES if f"view:{v}" in step.handles}, lower(step))


def runner(search: AStar, *drafters) -> Decoder:
    return decoder(*drafters, ModelVerifier(model="t"), Temperature(value=0.9), search.control())


def score(prompt: Sequence[int], texts: Sequence[Sequence[int]]) -> list[float]:
    """Arbitrary, the same for the same text."""
    return [random.Random(f"{list(prompt)}{list(text)}").random() for text in texts]


def requests(d: Decoder, prompts=PROMPTS, limit: int = LIMIT) -> list[Request]:
    return [Request(dict.fromkeys(d.models, prompt), limit, 40 + len(prompt)) for prompt in prompts]


def further(d: Decoder, request: Request, text: list[int], steps: int, key: int):
    """One step further from a text, from scratch: nothing cached, nothing forked."""
    state = d.start([Request(request.prompts, request.limit, key)])
    state["seq"].tokens[0, : len(text)] = torch.tensor(text, dtype=torch.long)
    state["seq"].length[0], state["seq"].steps[0] = len(text), steps
    return read(d.generate(state))[0]


def by_hand(d: Decoder, request: Request, k: int, budget: int):
    """``(text, tokens, scored)`` of A* with abs_delta, on texts alone."""
    prompt = next(iter(request.prompts.values()))
    heap, order, tokens, scored, seen = [], 1, 0, 0, {()}
    heap.append(((1 - ROOT, 0, -ROOT), 0, (), 0, request.key, ROOT, 0.0, False))
    while True:
        (_, depth, _), _, text, steps, key, r, g, goal = heapq.heappop(heap)
        if goal:
            return list(text), tokens, scored
        if tokens >= budget:
            goals = sorted(e for e in [*heap] if e[-1])
            return list(goals[0][2]) if goals else list(text), tokens, scored
        length = torch.full((k,), len(text))
        keys = derived(torch.full((k,), key), length, torch.arange(k)).tolist()
        for child in keys:
            row = further(d, request, list(text), steps, child)
            step = row.tokens[len(text) :]
            tokens += len(step)
            if step != [DELIMITER] and row.status in ("paused", "eos") and tuple(row.tokens) not in seen:
                seen.add(tuple(row.tokens))
                (s,) = score(prompt, [row.tokens])
                cost = g + abs(s - r)
                rank = (round(cost + 1 - s, 9), depth - 1, -s)
                heapq.heappush(heap, (rank, order, tuple(row.tokens), row.steps, child, s, cost, row.status == "eos"))
                order, scored = order + 1, scored + 1


@pytest.mark.parametrize("drafters", [(), (DRAFTER,)])
def test_the_search_is_the_one_whose_every_child_is_sampled_from_scratch(drafters):
    for prompt in PROMPTS:
        search = AStar(at=(DELIMITER,), children=3, tokens=150, resident=2)
        d = runner(search, *drafters)
        (request,) = requests(d, [prompt])
        (found,) = search.run(d, [request], score)
        budget = found.search.budget
        assert (found.tokens, budget.generated, budget.scored) == by_hand(d, request, 3, 150)


def test_searches_share_batches_and_nothing_else():
    search = AStar(at=(DELIMITER,), children=2, tokens=80)
    d = runner(search, DRAFTER)
    together = search.run(d, requests(d), score)
    alone = [search.run(d, [request], score)[0] for request in requests(d)]
    facts = lambda found: [(f.tokens, f.outcome, f.f, f.search.budget) for f in found]  # noqa: E731
    assert facts(together) == facts(alone)
    assert len({len(f.search.popped) for f in together}) > 1


def test_eviction_changes_nothing():
    results = []
    for resident in (1, 64):
        search = AStar(at=(DELIMITER,), children=3, tokens=120, resident=resident)
        d = runner(search, DRAFTER)
        results.append([(f.tokens, f.f, f.search.budget.generated) for f in search.run(d, requests(d), score)])
        evicted = [node for f in search.run(d, requests(d), score) for node in f.search.nodes if node.evicted]
        assert bool(evicted) == (resident == 1)
    assert results[0] == results[1]


def ancestral(d: Decoder, request: Request) -> list[int]:
    return d.decode([request])[0].tokens


def test_one_child_is_plain_sampling():
    search = AStar(at=(2,), longest=4, children=1, depth=1000)
    plain = decoder(ModelVerifier(model="t"), Temperature(value=0.9))
    compared, told = 0, 0
    for key in range(12):
        request = Request({"t": [1, 2]}, LIMIT, key)
        (found,) = search.run(runner(search), [request], score)
        text = ancestral(plain, request)
        path = [list(node.text) for node in found.search.nodes]
        assert all(text[: len(part)] == part for part in path)
        compared, told = compared + (found.outcome == "goal" and found.tokens == text), told + max(map(len, path))
    assert compared >= 2 and told > 40


def test_counters_count_all_that_was_generated_and_scored():
    generated, asked = [], []

    class Counting(Decoder):
        def generate(self, state):
            before = int(state["seq"].length.sum())
            after = super().generate(state)
            generated.append(int(after["seq"].length.sum()) - before)
            return after

    def counting(prompt, texts):
        asked.append(len(texts))
        return score(prompt, texts)

    search = AStar(at=(DELIMITER,), children=4, tokens=60, scores=14)
    d = runner(search)
    (found,) = search.run(Counting(d.graph, d.models, d.step), requests(d)[:1], counting)
    budget = found.search.budget
    assert (budget.generated, budget.scored) == (sum(generated), sum(asked))
    assert sum(generated[:-1]) < 60 and sum(asked[:-1]) < 14  # at most one expansion over
    assert len(found.tokens) < budget.generated


def test_an_empty_step_is_a_failure_and_not_a_loop():
    always = TableModel(V, 0)
    always.tables.zero_()
    always.tables[..., DELIMITER] = 50.0
    search = AStar(at=(DELIMITER,), children=3)
    d = runner(search)
    (found,) = search.run(Decoder(d.graph, {"t": always}, d.step), requests(d)[:1], score)
    assert found.outcome == "exhausted" and found.tokens == [] and found.search.failures == 3
    assert found.search.budget.scored == 0


def test_duplicates_are_dropped_before_they_are_scored():
    sure = TableModel(V, 3, 2)
    sure.tables *= 100
    search = AStar(at=(DELIMITER,), children=4, tokens=100)
    d = runner(search)
    found = search.run(Decoder(d.graph, {"t": sure}, d.step), requests(d)[:2], score)
    for f in found:
        texts = [node.text for node in f.search.nodes]
        assert f.search.duplicates and len(texts) == len(set(texts))


def test_a_stage_of_a_pipeline_it_is_not():
    search = AStar(at=(DELIMITER, 2), children=2, longest=7)
    assert AStar.model_validate(search.model_dump()[search.kind]) == search
    assert search.control().at == (DELIMITER, 2) and search.control().longest == 7


# --- planted faults ---------------------------------------------------------------------------------------------------------


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


def test_planted_resampling_of_an_only_child(monkeypatch):
    monkeypatch.setattr(runtime, "derived", lambda key, length, child: key * 31 + length + 1)
    search = AStar(at=(DELIMITER,), children=1, depth=1000)
    plain = decoder(ModelVerifier(model="t"), Temperature(value=0.9))
    wrong = 0
    for key in range(6):
        request = Request({"t": [1, 2]}, LIMIT, key)
        (found,) = search.run(runner(search), [request], score)
        wrong += ancestral(plain, request)[: len(found.tokens)] != found.tokens
    assert wrong


def test_planted_children_that_share_their_parents_cache():
    search = AStar(at=(DELIMITER,), children=3, tokens=80)
    d = runner(search)

    def sharing(*handles):
        out = d.step(*handles)
        for view in (h for h in out if hasattr(h, "cache")):
            view.cache.buffer[:] = view.cache.buffer[:, :, -1:]
        return out

    (right,) = search.run(d, requests(d)[1:2], score)
    (wrong,) = search.run(Decoder(d.graph, d.models, sharing), requests(d)[1:2], score)
    assert [n.text for n in wrong.search.nodes] != [n.text for n in right.search.nodes]
