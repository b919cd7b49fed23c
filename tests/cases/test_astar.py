"""A* on table models: against a search whose every child is sampled from scratch, and with its known mistakes planted."""

import heapq
import random
from collections.abc import Sequence
from functools import cache

import pytest
import torch

from penstock.backends.eager.lower import lower
from penstock.backends.runtime import runner as runtime
from penstock.backends.runtime.runner import Decoder, Request, derived, read
from penstock.backends.runtime.table import TableModel
from penstock.dsl.pipeline import Pipeline
from penstock.library import ModelDrafter, ModelVerifier, Temperature
from penstock.library.search.astar import AStar
from penstock.traced import traced

ROOT = 0.5
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


# --- planted faults -----------------------------------------------------------------------------------------------------------


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
