"""Forked, joined and evicted rows go on exactly as their texts would from scratch: same key, nothing cached."""

from functools import cache

import pytest
import torch

from penstock.backends.eager.lower import lower
from penstock.backends.interpret import Interpreter
from penstock.backends.runtime.runner import Decoder, Request, derived, read
from penstock.backends.runtime.table import TableModel
from penstock.dsl.pipeline import Pipeline
from penstock.ir.state import RUNNING
from penstock.library import ModelDrafter, ModelVerifier, Repetition, Temperature
from penstock.library.control.pause import Pause
from penstock.testing import certify_stages
from penstock.traced import traced

V, EOS = 5, 4
MODELS = {"t": "table:5:1:2", "d": "table:5:2"}
TABLES = {"t": TableModel(V, 1, 2), "draft:d": TableModel(V, 2)}
PLAIN = (ModelVerifier(model="t"), Temperature(value=0.9), Pause(at=(0,)))
DRAFTED = (ModelDrafter(model="d", length=3, paths=2), ModelVerifier(model="t"), Repetition(), Pause(at=(0,)))
STAGES = {"plain": PLAIN, "drafted": DRAFTED}


@cache
def decoder(name: str, interpreted: bool = False) -> Decoder:
    step = traced(Pipeline(models=MODELS, stages=STAGES[name]), (EOS,))
    run = (lambda *handles: Interpreter().run(step.graph, handles)) if interpreted else lower(step)
    return Decoder(step, {v: TABLES[v] for v in TABLES if f"view:{v}" in step.handles}, run)


def request(d: Decoder, prompt: list[int], limit: int = 20, key: int = 1) -> Request:
    return Request(dict.fromkeys(d.models, prompt), limit, key)


def from_scratch(d: Decoder, prompt: list[int], row, key: int, limit: int = 20):
    """Where a row goes from its text: a new state, its text put in by hand, automata stepped token by token."""
    state = d.start([request(d, prompt, limit, key)])
    seq, n = state["seq"], len(row.tokens)
    seq.tokens[0, :n], seq.length[0], seq.steps[0] = torch.tensor(row.tokens), n, row.steps
    for p in (p for p in d.graph.plan.stages if p.automaton):
        path = p.stage.start(prompt, V)
        for token in row.tokens:
            path = p.stage.step(path, torch.tensor(token), None)
        state[f"reg:{p.name}"].value = path[None]
    return read(d.generate(state))[0]


@pytest.mark.parametrize("name", STAGES)
def test_children_go_on_as_their_texts_would_from_scratch(name):
    d, differing = decoder(name), 0
    for seed in range(4):
        prompt = [1, 2, 3][: 1 + seed % 3]
        state = d.generate(d.start([request(d, prompt, key=seed)]))
        for _ in range(3):  # a child's child's child
            (before,) = read(state)
            if before.status != "paused":
                break
            keys = derived(state["seq"].key.repeat(3), state["seq"].length.repeat(3), torch.arange(3)).tolist()
            grown = d.generate(d.resume(d.fork(state, 3)))
            for row, key in zip(read(grown), keys, strict=True):
                assert row == from_scratch(d, prompt, before, key)
                assert row.tokens[: len(before.tokens)] == before.tokens
            differing += len({tuple(row.tokens) for row in read(grown)}) > 1
            state = d.take(grown, [1])
    assert differing


@pytest.mark.parametrize("name", STAGES)
def test_rows_of_unequal_states_go_on_together_as_they_would_alone(name):
    d = decoder(name)
    prompts, limits = [[1], [2, 0, 1, 3, 3], [0, 2]], [20, 9, 14]
    alone = []
    for i, (prompt, limit) in enumerate(zip(prompts, limits, strict=True)):
        alone.append(d.generate(d.start([request(d, prompt, limit, i)])))
    together = d.cat(alone)
    assert len({s["view:t"].cache.slots for s in alone}) == 3
    assert len({int(n) for n in together["seq"].length}) > 1
    alone = [read(d.generate(d.resume(state)))[0] for state in alone]
    assert read(d.generate(d.resume(together))) == alone


@pytest.mark.parametrize("name", STAGES)
def test_an_evicted_row_goes_on_as_if_it_had_not_been(name):
    d = decoder(name)
    state = d.generate(d.start([request(d, [2, 0, 1], key=i) for i in range(3)]))
    evicted = d.evict(d.take(state, [2, 0]))
    assert not any(hasattr(evicted[f"view:{v}"].cache, "buffer") for v in d.models)
    whole = read(d.generate(d.resume(state)))
    assert read(d.generate(d.resume(evicted))) == [whole[2], whole[0]]


def test_logits_of_a_child_equal_those_of_a_prefill():
    d = decoder("drafted")
    state = d.fork(d.generate(d.start([request(d, [1, 3], key=2)])), 2)
    fed = []
    meaning = TableModel.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            TableModel, "forward", lambda self, *a: fed.append((self.name, meaning(self, *a).logits)) or meaning(self, *a)
        )
        state["seq"].status.fill_(RUNNING)
        text = torch.tensor([1, 3, *state["seq"].tokens[1, : state["seq"].length[1]].tolist()])
        d.step(*(state[h] for h in d.graph.handles))
    model = TABLES["draft:d"]
    (_, logits), truth = fed[0], model.from_scratch(model.embed(text))
    assert fed[0][0] == model.name and (logits[1, -1] - truth[-1]).abs().max() < 1e-9


def test_pausing_in_a_draft_changes_no_distribution():
    drafter, verifier = ModelDrafter(model="d", length=2, paths=2), ModelVerifier(model="t")
    paused = certify_stages((drafter, verifier, Pause(at=(0,))), limit=3, eos=(2,), batch=2)
    assert paused.holds and not paused.not_exercised, paused.report()
    assert all(0 not in text[:-1] for text in paused.found.law)

    class Marked(Pause):  # the same cuts, but rows go on by themselves: the whole text's law is the pipeline's without them
        kind = "tests.marked"
        status = None

    certified = certify_stages((drafter, verifier, Marked(at=(0,), longest=2)), (verifier,), limit=4, eos=(2,))
    assert certified.holds, certified.report()


def test_steps_end_at_their_delimiter_or_their_length():
    stages = (ModelDrafter(model="d", length=4), ModelVerifier(model="t"), Pause(at=(0, 3), longest=3))
    step = traced(Pipeline(models=MODELS, stages=stages), (EOS,))
    d = Decoder(step, TABLES, lower(step))
    longest = 0
    for key in range(8):
        state, before = d.start([request(d, [1], key=key)]), 0
        while (row := read(state := d.generate(d.resume(state)))[0]).status == "paused":
            new, before = row.tokens[before:], len(row.tokens)
            assert not {0, 3} & set(new[:-1]) and (new[-1] in (0, 3) or len(new) == 3)
            longest = max(longest, len(new))
    assert longest == 3


def test_the_generated_step_pauses_where_the_interpreter_does():
    eager, interpreter = decoder("drafted"), decoder("drafted", interpreted=True)
    for rows in (1, 3):
        results = []
        for d in (eager, interpreter):
            state = d.generate(d.start([request(d, [1, 2][: 1 + i % 2], key=i) for i in range(rows)]))
            grown = d.generate(d.resume(d.fork(state, 2)))
            results.append((read(state), read(grown)))
        assert results[0] == results[1]


# --- planted faults ---------------------------------------------------------------------------------------------------------


def children_from_scratch(d: Decoder) -> bool:
    """Whether every child of a few forks is what its text gives from scratch."""
    right = True
    for seed in range(2):
        state = d.generate(d.start([request(d, [1, 2], key=seed)]))
        (before,) = read(state)
        if before.status == "paused":
            grown = d.generate(d.resume(d.fork(state, 3)))
            keys = derived(state["seq"].key.repeat(3), state["seq"].length.repeat(3), torch.arange(3)).tolist()
            right &= read(grown) == [from_scratch(decoder("drafted"), [1, 2], before, key) for key in keys]
    return right


def test_planted_children_that_share_one_cache():
    good = decoder("drafted")

    def sharing(*handles):
        out = good.step(*handles)
        for view in (h for h in out if hasattr(h, "cache")):
            view.cache.buffer[:] = view.cache.buffer[:, :, -1:]  # whoever wrote last wrote for all
        return out

    assert children_from_scratch(good)
    assert not children_from_scratch(Decoder(good.graph, good.models, sharing))


def test_planted_eviction_that_forgets_to_compute_again():
    d = decoder("drafted")
    state = d.generate(d.start([request(d, [2, 0, 1], key=i) for i in range(3)]))
    wrong = d.evict(d.take(state, [0, 1, 2]))
    for name in d.models:
        wrong[f"view:{name}"].cached = state[f"view:{name}"].cached.clone()
    assert read(d.generate(d.resume(wrong))) != read(d.generate(d.resume(state)))


def test_a_child_of_child_0_never_gets_a_key_of_its_uncles():
    d = decoder("plain")
    family = d.generate(d.resume(d.fork(d.generate(d.start([request(d, [1, 2], key=3)])), 4)))
    elder = d.fork(d.take(family, [0]), 4)
    assert set(elder["seq"].key.tolist()) & set(family["seq"].key.tolist()) == {3}


@pytest.mark.parametrize("name", STAGES)
def test_new_requests_take_the_places_of_rows_that_have_ended(name):
    """A batch that is kept full: each request is decoded as it would be alone."""
    d = decoder(name)
    asked = [request(d, prompt, limit, key) for key, (prompt, limit) in enumerate([([1], 4), ([2, 0], 12), ([3, 3, 1], 7)])]
    alone = [read(d.generate(d.start([each])))[0] for each in asked]
    running = d.generate(d.start(asked[:2]))
    assert read(running) == alone[:2]
    refilled = d.generate(d.put(running, [0], d.start([asked[2]])))
    assert read(refilled) == [alone[2], alone[1]]
    assert read(d.drop(refilled, [0])) == [alone[1]]
