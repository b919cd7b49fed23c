"""Case: superposed decoding as a search: the card's scores, exact beams on a chain, transforms by hypothesis, planted faults."""

import copy
import math

import pytest
import superposed
import torch
from superposed import NGrams, Superposed, interpolated, ngram_share
from superposed_world import PROMPTS, SPD, V, by_hand, decode, markov, same, texts
from tiny_models import tiny_model

from penstock.backends.runtime.hf import HuggingFaceModel
from penstock.backends.runtime.table import TableModel
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.ops.frontier import endings, extend, worth
from penstock.ir.standin import StandIn
from penstock.library import Acceptor, ModelDrafter, Repetition, ToyGrammar, TypicalAcceptor
from penstock.passes import frontier as frontier_pass
from penstock.passes.order import elaborate

COUNTS = 1 + torch.randperm(V * V, generator=torch.Generator().manual_seed(5)).view(V, V)  # all different: no ties
CHAIN = NGrams([[i, j] for i in range(V) for j in range(V) for _ in range(int(COUNTS[i, j]))], {2: 1.0})
BEAM = Superposed(model="m", width=3, keep=V, tau=1.0, alpha=1.0, table=CHAIN)
LOGS = (COUNTS.double() / COUNTS.sum(1, keepdim=True)).log()


def chain():
    """The chain that CHAIN counted, as a model."""
    model = markov()
    model.tables[0, :V] = LOGS[:, None]
    return model


def beams(prompt, width, limit):
    """Standard beam search on the chain."""
    alive = [([], 0.0)]
    for _ in range(limit):
        each = [([*t, v], s + float(LOGS[(t or prompt)[-1], v])) for t, s in alive for v in range(V)]
        alive = sorted(each, key=lambda x: -x[1])[:width]
    return alive


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_on_a_chain_with_its_own_bigrams_it_is_beam_search(width):
    found, _ = decode([BEAM.model_copy(update={"width": width})], chain())
    same(found, [beams(prompt, width, 6) for prompt in PROMPTS])


def test_the_cards_scores():
    log_p = torch.tensor([[0.5, 0.3, 0.2]]).double().log()
    share = torch.tensor([[[0.0, 0.6, 0.4], [0.0, 0.0, 0.0]]]).double()
    mixed, none = interpolated(log_p, share, 0.5, 200.0)[0].tolist()
    assert mixed == pytest.approx([-math.inf, 0.5 * math.log(0.18), 0.5 * math.log(0.08)])
    assert none == pytest.approx([0.5 * p - 200 for p in log_p[0].tolist()])
    assert interpolated(log_p, share, 0.0, 200.0)[0].tolist() == [log_p[0].tolist()] * 2
    certain = interpolated(torch.tensor([[0.0, -math.inf, -math.inf]]).double(), share, 1.0, 200.0)[0].tolist()
    assert certain == [pytest.approx([-math.inf, math.log(0.6), math.log(0.4)]), [-200.0] * 3]


def test_an_order_never_seen_gives_its_weight_to_nobody():
    """A hypothesis known only by its last token loses to one that a long context backs."""
    table = NGrams([[1, 2, 3, 4, 5], [0, 5]], {2: 0.01, 5: 0.12})
    shares = ngram_share(table, torch.tensor([[[1, 2, 3, 4], [5, 5, 5, 0], [-1, -1, -1, 4]]]), torch.tensor([[5, 3]]))[0]
    assert shares[:, 0].tolist() == pytest.approx([0.13, 0.01, 0.01])
    assert shares[:, 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("width", [1, 3, 8])
def test_forwards_do_not_depend_on_how_many_hypotheses_there_are(monkeypatch, width):
    calls, run = [], TableModel.forward

    def counted(self, cache, feed):
        calls.append(len(cache.positions))
        return run(self, cache, feed)

    monkeypatch.setattr(TableModel, "forward", counted)
    decode(
        [SPD.model_copy(update={"width": width})],
        TableModel(V, 1, 2),
        limit=7,
        traced=StandIn("m", V, capabilities=frozenset({"embeds", "tree"})),
    )
    assert calls == [len(PROMPTS)] * 7


def less_of_what_was_said(text, log_f):
    """The repetition penalty of 1.4 on log-probabilities, which are negative: the prompt counts."""
    return {v: value * 1.4 if v in text else value for v, value in log_f.items()}


def test_transforms_follow_each_hypothesis():
    model = TableModel(V, 1, 2)
    stages = [SPD.model_copy(update={"keep": V}), Repetition(alpha=1.4)]
    found, _ = decode(stages, model)
    same(found, [by_hand(stages[0], model, prompt, 6, shape=less_of_what_was_said) for prompt in PROMPTS])
    free = texts(decode([SPD], model)[0])
    ruled = texts(decode([SPD, ToyGrammar.over(V)], model)[0])
    twice = lambda text: any(a == b and a % 2 for a, b in zip(text, text[1:], strict=False))  # noqa: E731
    assert any(twice(text) for row in free for text in row)
    assert not any(twice(text) for row in ruled for text in row)


def test_a_transformers_greedy_text_is_one_hypothesis():
    twin = tiny_model("gemma2")
    model = HuggingFaceModel(copy.deepcopy(twin), "m")
    found, _ = decode([Superposed(model="m", width=1)], model, [[5, 6, 7], [9, 8]], limit=12)
    for prompt, row in zip([[5, 6, 7], [9, 8]], found, strict=True):
        with torch.no_grad():
            text = twin.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)[0].tolist()
        assert row[0][0] == text[len(prompt) :]


def test_drafts_are_refused_by_name():
    with pytest.raises(PenstockError, match="stage drafter.model.0 drafts, and search.superposed.0 decodes a frontier"):
        elaborate([ModelDrafter(model="d"), SPD])


@pytest.mark.parametrize("acceptor", [Acceptor(), Acceptor(rule="greedy"), TypicalAcceptor()])
def test_acceptors_are_refused_by_name(acceptor):
    with pytest.raises(PenstockError, match=f"stage {acceptor.kind}.0 has no place in a step of search.superposed.0"):
        elaborate([SPD, acceptor])


@op("state", consumes=1, takes_live=True)
def stale(seq, parent, token, score, eos, *, live):
    """Texts stay where they were when their hypothesis changes parents."""
    return extend.meaning(seq, torch.arange(parent.shape[1]).expand_as(parent) % seq.width, token, score, eos, live=live)


@op()
def misread(scores, log_f, token, count):
    """Parent and candidate taken out of the wrong order."""
    score, place = (scores[..., None] + log_f).flatten(1).sort(dim=1, descending=True, stable=True)
    return (
        place[:, :count] % log_f.shape[1],
        token.gather(1, place[:, :count] // log_f.shape[1] % log_f.shape[2]),
        score[:, :count],
    )


@pytest.mark.parametrize(("name", "fault"), [("extend", stale), ("extensions", misread)])
def test_faults_of_bookkeeping_are_seen(monkeypatch, name, fault):
    """A text must be worth what its score says."""
    assert misjudged(decode([BEAM], chain())[0]) < 1e-9
    monkeypatch.setattr(frontier_pass, name, fault)
    assert misjudged(decode([BEAM], chain())[0]) > 0.1


def misjudged(found):
    """The largest distance between a score and the text's own under the chain."""
    worst = 0.0
    for prompt, row in zip(PROMPTS, found, strict=True):
        for text, score in row:
            steps = zip([prompt[-1], *text], text, strict=False)
            worst = max(worst, abs(score - sum(float(LOGS[a, b]) for a, b in steps)))
    return worst


@op(borrows=1)
def averaged(view, ends, scores):
    """What the model says after each hypothesis, averaged."""
    each = view.model.from_scratch(view.model.embed(ends))[:, :, 0].softmax(-1)
    return (scores.softmax(-1)[..., None] * each).sum(1).log()


def test_averaging_what_comes_out_is_seen(monkeypatch):
    """In a model that is linear in what it reads."""
    model, stage = markov(vocab=3), Superposed(model="m", width=2, keep=3, tau=1.0)
    honest, _ = decode([stage], model, [[2]], limit=3)
    same(honest, [by_hand(stage, model, [2], 3)])
    choose = superposed.likeliest
    said = lambda: averaged("view:m", endings("seq", "view:m", 1), worth("seq"))  # noqa: E731
    monkeypatch.setattr(superposed, "likeliest", lambda logits, count: choose(said(), count))
    found, _ = decode([stage], model, [[2]], limit=3)
    assert abs(found[0][0][1] - honest[0][0][1]) > 1e-3
