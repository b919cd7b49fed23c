"""Case: DEL and LayerSkip are lossless: lower layers draft and upper layers verify in one view, each column once a layer."""

import copy
from typing import ClassVar

import pytest
import torch
from early_exit import TARGET, agreeing, certified
from tiny_models import tiny_model

from penstock.backends.eager.lower import lower
from penstock.backends.enumerate import law as enumerated
from penstock.backends.enumerate.scratch import ForwardCheck, WrongForward
from penstock.backends.runtime.cache import SlotCache
from penstock.backends.runtime.hf import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.ir.draft import Growth
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.step import Step
from penstock.library import Del, LayerSkip, ModelVerifier, Repetition, Temperature, ToyGrammar
from penstock.library.drafters import layerskip
from penstock.passes.buckets import by_bucket
from penstock.passes.build import build
from penstock.passes.order import elaborate
from penstock.testing import interpreted

DEL = Del(model="target", exits=(1, 2), longest=2)
SKIP = LayerSkip(model="target", exit=2, length=2)
SHAPED = (Repetition(alpha=1.4), ToyGrammar.over(3), Temperature(value=0.7))


@pytest.mark.parametrize("drafter", [DEL, SKIP, LayerSkip(model="target", exit=1, length=3)])
@pytest.mark.parametrize("shape", [(), SHAPED, (Temperature(value=0),)])
@pytest.mark.parametrize(("eos", "batch"), [((), 1), ((2,), 3)])
def test_exact_over_two_steps_and_more(drafter, shape, eos, batch):
    certificate = certified(drafter, *shape, eos=eos, batch=batch)
    assert certificate.holds, certificate.report()
    assert shape or eos or not certificate.not_exercised


def test_every_bucket_is_among_the_worlds(monkeypatch):
    met, split = set(), enumerated.in_buckets
    monkeypatch.setattr(enumerated, "in_buckets", lambda *given: [met.add(b) or (b, rows) for b, rows in split(*given)])
    assert certified(DEL).holds
    assert met - {None} == {(1, 0), (1, 1), (1, 2), (2, 2)}


class Second(Temperature):
    """A transform that decides too."""

    decision: ClassVar[str] = "second"


def test_the_plan_says_that_there_are_several_graphs():
    assert (
        elaborate([DEL, TARGET]).notes[-1]
        == "buckets: one graph for each value of reg:del.choice, which a step sets for the next"
    )
    with pytest.raises(PenstockError, match="both decide what the next step looks like"):
        elaborate([DEL, TARGET, Second()])


def decoder(drafter, model, run=lower):
    stages = [drafter, TARGET] if drafter else [TARGET]
    step = build(elaborate(stages), {"target": model})
    return Decoder(step, {"target": model}, run(step))


@pytest.mark.parametrize("rows", [1, 3])
def test_lowered_it_decodes_what_its_meaning_decodes(rows):
    model = agreeing(5, 3, (2, 4))
    requests = [Request({"target": p}, 16, key=k) for k, p in enumerate([[1], [2, 0, 1], [4, 3]][:rows])]
    for drafter in (Del(model="target", exits=(1, 2), longest=3), SKIP):
        lowered, meant = (decoder(drafter, model, run).decode(requests) for run in (lower, lambda s: by_bucket(s, interpreted)))
        assert lowered == meant
        assert sum(d.steps for d in lowered) < 16 * rows


def test_every_column_goes_once_through_every_layer(monkeypatch):
    written, write = [], SlotCache.write

    def noted(cache, layer, kind, slots, values):
        written.extend((layer, slot) for slot in slots[0].tolist())
        write(cache, layer, kind, slots, values)

    monkeypatch.setattr(SlotCache, "write", noted)
    decode = decoder(LayerSkip(model="target", exit=1, length=3), agreeing(5, 3, (2, 4)))
    state = decode.start([Request({"target": [2, 0, 1, 3]}, 40)])
    for step in range(5):
        written.clear()
        root = int(state["seq"].length) + 4 - 1
        state = dict(zip(decode.graph.handles, decode.step(*[state[h] for h in decode.graph.handles]), strict=True))
        columns = range(root if step else 0, root + 4)
        assert sorted(written) == [(layer, slot) for layer in range(3) for slot in columns]
        assert int(state["view:target"].cached) == int(state["seq"].length) + 4 - 1


def out_of_order(self, begun, options):
    begun.hidden = tuple(states.flip(1) for states in begun.hidden)
    return GO_ON(self, begun, options)


def root_forgotten(self, cache, feed):
    """Upper layers answer, but keep nothing of the root."""
    out = FORWARD(self, cache, feed)
    if feed.layers and feed.layers[0]:
        upper, rows = cache.buffer[feed.layers[0] :, 0, :, 0], torch.arange(len(feed.slots))
        upper[:, rows, feed.slots[:, 0]] = 0
    return out


GO_ON, FORWARD = Step._score_on, TableModel.forward


@pytest.mark.parametrize(
    ("where", "name", "fault"),
    [(Step, "_score_on", out_of_order), (TableModel, "forward", root_forgotten), (layerskip, "catch_up", lambda *_: None)],
    ids=["states in another order", "upper layers without the root", "gap never fed above"],
)
def test_faults_of_cache_and_order_are_seen_twice(monkeypatch, where, name, fault):
    monkeypatch.setattr(where, name, fault)
    with pytest.raises(WrongForward):
        certified(SKIP)
    monkeypatch.setattr(ForwardCheck, "__call__", lambda *_: None)
    assert certified(SKIP).against_text > 1e-3


def test_drafting_the_argmax_as_if_drawn_is_seen(monkeypatch):
    def draw(self, q, each=1):
        self.add(q.argmax(-1), q, each)

    monkeypatch.setattr(Growth, "draw", draw)
    assert certified(SKIP).against_text > 1e-3
    assert certified(DEL).against_text > 1e-3


@op()
def dropped(sure, tau):
    return (sure >= tau[:, None]).to(sure).cumprod(1).bool()


def test_dropping_the_token_that_stops_a_draft_is_seen(monkeypatch):
    assert certified(DEL, seed=4).holds
    monkeypatch.setattr(layerskip, "going_on", dropped)
    assert certified(DEL, seed=4).against_text > 1e-3


def test_a_token_less_sure_than_tau_stays_and_ends_the_draft():
    sure, tau = torch.tensor([[0.9, 0.4, 0.8, 0.9], [0.1, 0.9, 0.9, 0.9], [0.9] * 4]), torch.tensor([0.5, 0.5, 0.0])
    assert layerskip.going_on(sure, tau).long().sum(1).tolist() == [2, 1, 4]


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_greedy_tokens_of_a_transformer_are_its_own(kind):
    model = HuggingFaceModel(copy.deepcopy(tiny_model(kind)), "target")
    requests = [Request({"target": list(range(5 + i, 9 + 3 * i))}, 24) for i in range(3)]
    cold = (TARGET, Temperature(value=0.0))
    plain, drafted = (
        Decoder(step, {"target": model}, lower(step)).decode(requests)
        for step in (
            build(elaborate(stages), {"target": model})
            for stages in (cold, (Del(model="target", exits=(1, 2, 3), longest=4), *cold))
        )
    )
    assert [d.tokens for d in drafted] == [p.tokens for p in plain]


def test_a_layer_that_is_no_early_exit_is_refused():
    with pytest.raises(PenstockError, match="layer 3 of 3 is no early exit"):
        certified(LayerSkip(model="target", exit=3))


def test_a_view_that_nobody_scores_is_refused():
    models = {name: TableModel(3, 1, 2) for name in ("target", "other")}
    with pytest.raises(PenstockError, match="first layers of the view other, which no verifier scores"):
        build(elaborate([LayerSkip(model="other", exit=1), ModelVerifier(model="target")]), models)
