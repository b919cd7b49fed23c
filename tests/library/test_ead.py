"""Entropy adaptive decoding against its card's numbers: entropy, controller, degenerate ends, catching up, rows, accounts."""

import math
import random
from itertools import pairwise
from typing import Any

import ead_oracle
import pytest
import torch
from ead_oracle import Controller, bits
from tiny_models import VOCAB
from whole_transformers import Whole, weights

from penstock.backends.eager.lower import lower
from penstock.backends.enumerate.certify import step_of
from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.dsl.pipeline import Pipeline
from penstock.face import certify, compile
from penstock.ir.errors import PenstockError
from penstock.ir.ops.logits import entropy_bits
from penstock.ir.standin import StandIn
from penstock.library import EntropyAdaptive, EntropyGate, ModelDrafter, ModelVerifier, Temperature
from penstock.library.gates.ead import honest_cost, published_cost
from penstock.passes.build import build
from penstock.passes.order import elaborate
from penstock.testing import decode_stages, small_world, views_of

MODELS = ("s", "l")
GREEDY = Temperature(value=0)


def test_entropy_is_in_bits():
    assert float(entropy_bits(torch.full((8,), 3.0, dtype=torch.float64))) == pytest.approx(3, abs=1e-14)
    one_hot = torch.zeros(8, dtype=torch.float64)
    one_hot[2] = 50
    assert float(entropy_bits(one_hot)) < 1e-9
    banned = torch.tensor([0.0, 0.0, -torch.inf, -torch.inf])
    assert float(entropy_bits(banned)) == pytest.approx(1)
    rows = torch.randn(1000, 11, generator=torch.Generator().manual_seed(0)) * 3
    truth = torch.tensor([bits(row.tolist()) for row in rows])
    assert float((entropy_bits(rows) - truth).abs().max()) < 1e-4
    assert entropy_bits(rows.bfloat16()).dtype == torch.float32


def trace(gate: EntropyGate, script: list[float]) -> list[int]:
    """Who decodes each token and the one after the last."""
    state = gate.start([1], 3)
    who = [int(state["active"])]
    for entropy in script:
        state = gate.after(state, torch.tensor(entropy))
        who.append(int(state["active"]))
    return who


def test_a_scripted_controller():
    gate = EntropyGate(tau=2.0, window=3, d_min=2)
    script = [0.0, 0.0, 0.0, 5.0, 5.0, 5.0, 5.0, 0.0, 0.0, 0.0, 0.0]
    assert trace(gate, script) == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0]  # means .. 0, 5/3, 10/3, 5, 5, 10/3, 5/3, 0
    assert trace(gate, [6.0, 0.0, 0.0, 0.0]) == [0, 0, 1, 1, 0]  # not full: the mean is over what is there; a tie is small
    assert trace(gate.model_copy(update={"reset_on_switch": True}), [5.0, 5.0, 1.0, 1.0]) == [0, 0, 1, 1, 0]


@pytest.mark.parametrize("first", ["small", "large"])
def test_the_controller_is_the_cards_on_random_scripts(first):
    draw = random.Random(0)
    for _ in range(60):
        w, d_min, tau = draw.randint(1, 5), draw.randint(1, 4), draw.choice([0.0, 1.0, 2.0, 2.5])
        script = [float(draw.choice([0, 1, 2, 3, 5])) for _ in range(20)]  # ties happen
        gate = EntropyGate(tau=tau, window=w, d_min=d_min, first=first)
        assert trace(gate, script) == ead_oracle.actives(Controller(w, tau, d_min, int(first == "large")), script)


def test_switches_are_no_closer_than_the_dwell():
    draw = random.Random(1)
    for d_min in (1, 3, 10):
        gate, script = EntropyGate(tau=2.0, window=1, d_min=d_min), [draw.uniform(0, 4) for _ in range(100)]
        who = trace(gate, script)
        turns = [i for i, (a, b) in enumerate(pairwise(who)) if a != b]
        assert len(turns) <= 100 / d_min + 1 and all(b - a >= d_min for a, b in pairwise(turns))
        assert len(turns) > 5


def test_phases_are_followed_within_the_window():
    w, d_min, length, periods = 5, 3, 20, 8
    script = ([0.0] * length + [4.0] * length) * periods
    who = trace(EntropyGate(tau=2.0, window=w, d_min=d_min), script)[:-1]
    assert abs(sum(who) / len(who) - 0.5) <= 2 * (w + d_min) / 40
    for start in range(length, len(script) - length, length):
        assert who[start + w + d_min] == int(script[start] > 2), start


@pytest.mark.parametrize("drafter", [(), (ModelDrafter(model="d", length=3),)])
@pytest.mark.parametrize(("tau", "first", "alone"), [(1e9, "small", "s"), (-1.0, "large", "l")])
def test_at_its_ends_it_is_one_model_alone_token_for_token(drafter, tau, first, alone):
    ead = EntropyAdaptive(models=MODELS, tau=tau, first=first, d_min=1)
    keys, shape = [3, 1, 4, 1, 5], Temperature(value=0.8)
    world = small_world((*drafter, ead), vocab=7)
    switched = decode_stages((*drafter, ead, shape), keys, vocab=7, limit=20)
    small = small_world((*drafter, ModelVerifier(model=alone)), vocab=7, batch=3, limit=20)
    step = step_of(elaborate((*drafter, ModelVerifier(model=alone), shape)), small)
    models = {view: world.models[view] for view in small.models}
    rows = [{view: prompts[i % 3] for view, prompts in small.prompts.items()} for i in range(len(keys))]
    plain = Decoder(step, models, lower(step)).decode([Request(r, 20, key=k) for r, k in zip(rows, keys, strict=True)])
    assert [row.tokens for row in switched] == [row.tokens for row in plain]


class Counting(TableModel):
    """A table that counts the columns that each row is fed and the calls in which it is fed any."""

    def forward(self, cache: Any, feed: Any) -> Any:
        real = (feed.slots < cache.slots).sum(1)
        self.columns, self.calls = getattr(self, "columns", 0) + real, getattr(self, "calls", 0) + (real > 0).long()
        self.batches = getattr(self, "batches", 0) + 1
        return super().forward(cache, feed)


def decoder(stage: EntropyAdaptive, *drafter: Any) -> Decoder:
    world = small_world((*drafter, stage), vocab=7)
    models = {view: Counting(7, int(model.name.split(":")[2])) for view, model in world.models.items()}
    step = step_of(elaborate((*drafter, stage, GREEDY)), world)
    return Decoder(step, models, lower(step))


def requests(decoder: Decoder, prompts: list[list[int]], limit: int) -> list[Request]:
    return [Request(dict.fromkeys(decoder.models, prompt), limit, key=i) for i, prompt in enumerate(prompts)]


RAGGED = [[1], [2, 0, 1], [0, 2], [6, 5, 4, 3], [3], [4, 4], [5, 0, 5, 0, 5], [2, 6]]


@pytest.mark.parametrize("drafter", [(), (ModelDrafter(model="d", length=3, paths=2),)])
def test_greedy_with_caches_is_greedy_from_scratch(drafter):
    draw, switches = random.Random(2), 0
    for _ in range(6):
        w, d_min, tau = draw.randint(1, 3), draw.randint(1, 3), draw.uniform(1.3, 2.2)
        run = decoder(EntropyAdaptive(models=MODELS, tau=tau, window=w, d_min=d_min), *drafter)
        tables = [run.models["s"], run.models["l"]]
        out = run.decode(requests(run, RAGGED[:3], 24))
        for prompt, row in zip(RAGGED[:3], out, strict=True):
            tokens, who = ead_oracle.greedy(tables, prompt, Controller(w, tau, d_min), 24)
            assert row.tokens == tokens
            switches += sum(a != b for a, b in pairwise(who))
    assert switches > 60


@pytest.mark.parametrize("drafter", [(), (ModelDrafter(model="d", length=3),)])
def test_transformers_catch_up_over_long_gaps(drafter):
    """What a transformer says depends on every token of its gap; a table's memory is short."""
    stages = (*drafter, EntropyAdaptive(models=MODELS, tau=5.8, window=2, d_min=3), GREEDY)
    models = {"s": HuggingFaceModel(weights("llama"), "s"), "l": HuggingFaceModel(weights("qwen2"), "l")}
    bound = {view: models.get(view) or TableModel(VOCAB, 1) for view in views_of(stages)}
    facts = {v: StandIn(m.name, m.vocab, m.width, m.layers, m.capabilities) for v, m in bound.items()}
    step = build(elaborate(stages), facts)
    run = Decoder(step, bound, lower(step))
    out = run.decode(requests(run, RAGGED[:3], 30))
    for prompt, row in zip(RAGGED[:3], out, strict=True):
        tokens, who = ead_oracle.greedy([Whole("llama"), Whole("qwen2")], prompt, Controller(2, 5.8, 3), 30)
        assert row.tokens == tokens
        assert sum(a != b for a, b in pairwise(who)) >= 3


def test_rows_are_the_same_alone_and_together():
    drafter, stage = ModelDrafter(model="d", length=2), EntropyAdaptive(models=MODELS, tau=1.8, window=2, d_min=2)
    together = (run := decoder(stage, drafter)).generate(run.start(requests(run, RAGGED, 20)))
    for i, prompt in enumerate(RAGGED):
        alone = (run := decoder(stage, drafter)).generate(run.start(requests(run, [prompt], 20)))
        assert torch.equal(alone["seq"].tokens[0, :20], together["seq"].tokens[i, :20])
        mine, theirs = alone["reg:gate.entropy.0"].value, together["reg:gate.entropy.0"].value
        assert all(torch.allclose(mine[name][0], theirs[name][i], atol=1e-12) for name in mine)


def test_accounts_of_tokens_columns_and_cost():
    run, limit = decoder(EntropyAdaptive(models=MODELS, tau=1.8, window=2, d_min=2)), 24
    state = run.generate(run.start(requests(run, RAGGED[:3], limit)))
    small, large = run.models["s"], run.models["l"]
    assert (small.calls + large.calls).tolist() == [limit] * 3  # a token a call, without a draft
    assert state["view:s"].cached.tolist() == small.columns.tolist() and state["view:l"].cached.tolist() == large.columns.tolist()
    who = [ead_oracle.greedy([small, large], prompt, Controller(2, 1.8, 2), limit)[1] for prompt in RAGGED[:3]]
    assert large.calls.tolist() == [sum(row) for row in who]
    alone = decoder(EntropyAdaptive(models=MODELS, tau=1e9))
    alone.decode(requests(alone, RAGGED[:3], limit))
    assert not hasattr(alone.models["l"], "batches")  # a model that no row needs is not called at all


def test_costs():
    assert published_cost(0.43, 3 / 11) == pytest.approx(0.585, abs=1e-3)
    assert published_cost(0.25, 1.5 / 14) == pytest.approx(0.330, abs=1e-3)
    assert honest_cost(100, 60, 100, 0.25) == pytest.approx(0.85)


def test_a_spec_runs_and_is_certified_and_a_model_cannot_switch_to_itself():
    models = {"s": "table:7:1", "l": "table:7:2", "d": "table:7:3"}
    pipeline = Pipeline(models=models, stages=(ModelDrafter(model="d"), EntropyAdaptive(models=MODELS, tau=1.8, d_min=2)))
    assert certify(pipeline).holds
    assert [len(row.tokens) for row in compile(pipeline).generate(["1 2", "3"], max_new_tokens=9)] == [9, 9]
    with pytest.raises(PenstockError, match="stage gate.ead, field models: a model cannot take turns with itself"):
        EntropyAdaptive(models=("s", "s"))


def test_the_default_window_is_the_papers():
    gate = EntropyGate()
    assert (gate.window, gate.d_min, gate.first, gate.reset_on_switch) == (5, 10, "small", False)
    assert EntropyAdaptive(models=MODELS).small(3).tau == pytest.approx(0.7 * math.log2(3))
