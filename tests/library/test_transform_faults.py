"""Planted faults of transforms at the sites of a draft, and masks after what shrinks the support."""

import pytest
import torch
from transformers import NoRepeatNGramLogitsProcessor

from penstock.backends.enumerate.law import total_variation
from penstock.ir.op import op
from penstock.ir.ops.divergence import js
from penstock.ir.ops.lookup import text_by_site
from penstock.ir.step import Step
from penstock.library import (
    Ban,
    Contrast,
    ContrastLayers,
    EntropyAdaptive,
    Epsilon,
    Eta,
    Force,
    Guidance,
    LogitsProcessors,
    MinLength,
    MinP,
    ModelDrafter,
    ModelVerifier,
    NoRepeatNGram,
    SuppressAtBegin,
    Temperature,
    TopK,
    TopP,
    TypicalP,
)
from penstock.library.steer import contrast_layers
from penstock.passes.order import elaborate
from penstock.testing import certify_stages

PAIR = (ModelDrafter(model="d", length=2, paths=2), ModelVerifier(model="t"))


def distance(*stages):
    """From the text oracle's law."""
    return certify_stages([*PAIR, *stages], batch=2, eos=(2,), prompted=("u",)).against_text


def test_ngrams_of_the_committed_text_alone_are_seen(monkeypatch):
    monkeypatch.setattr(Step, "said", lambda step, prompt: text_by_site("view:t", "seq", None, None, 0, prompt))
    assert distance(NoRepeatNGram(size=2)) > 1e-3


@pytest.mark.parametrize("asked_before", [(), (Guidance(model="f", view="u"),)], ids=["first", "after_guidance"])
def test_the_text_is_the_verifiers_whatever_was_scored_beside(asked_before):
    """Of the models that take turns none scores every row, and another view may have been read first."""
    forbidding = LogitsProcessors(processors=(NoRepeatNGramLogitsProcessor(2),))
    laws = []
    for stage in (NoRepeatNGram(size=2), forbidding):
        taking_turns = EntropyAdaptive(models=("t", "l"), tau=1.0, window=2, d_min=1)
        certificate = certify_stages([PAIR[0], taking_turns, *asked_before, stage], batch=2, eos=(2,), prompted=("u",))
        assert certificate.holds, certificate.report()
        laws.append(certificate.found.law)
    assert total_variation(*laws) < 1e-9


@op()
def of_the_root(logits, sites):
    """The root's logits at as many sites."""
    return logits[:, :1].expand_as(sites)


def test_an_unconditional_branch_without_the_drafted_text_is_seen(monkeypatch):
    beside = Step.beside
    monkeypatch.setattr(Step, "beside", lambda step, view: of_the_root(beside(step, view), step.scored.raw))
    assert distance(Guidance(model="t", view="u", scale=2.0)) > 1e-2
    assert distance(Contrast(model="a")) > 1e-2


@op()
def furthest_on_the_whole(exits, final):
    """The layer that is furthest in the mean over the batch and its sites: what transformers contrasts with."""
    chosen = int(js.meaning(exits, final[:, None]).mean((0, 2)).argmax())
    return exits[:, chosen]


def test_a_layer_chosen_for_the_whole_batch_is_seen(monkeypatch):
    stage = ContrastLayers(model="t", layers=(1, 2, 3))
    assert distance(stage) < 1e-9
    monkeypatch.setattr(contrast_layers, "furthest", furthest_on_the_whole)
    assert distance(stage) > 1e-2


MASKS = [
    Ban(tokens=(0,)),
    Ban(tokens=(1,)),
    MinLength(length=2, eos=(2,)),
    SuppressAtBegin(tokens=(0, 1)),
    SuppressAtBegin(tokens=(2,)),
    Force(token=0),
    Force(token=1, at=1),
    NoRepeatNGram(size=2),
]
SHRINKING = [
    Temperature(value=0),
    TopK(k=1),
    TopP(p=0.01),
    MinP(p=1.0),
    TypicalP(p=0.01),
    Epsilon(epsilon=0.99),
    Eta(epsilon=0.99),
    Contrast(model="a", alpha=1.0),
    ContrastLayers(model="t", layers=(1,), alpha=1.0),
]


@pytest.mark.parametrize("shrinking", SHRINKING, ids=lambda stage: stage.kind)
def test_a_mask_after_what_leaves_one_token_comes_before_it(shrinking):
    """Else there are texts after which nothing is left."""
    for mask in MASKS:
        plan = elaborate([*PAIR, shrinking, mask])
        assert [p.stage for p in plan.accepted] == [mask, shrinking]
    assert distance(shrinking, MASKS[0]) < 1e-9 and distance(shrinking, MASKS[1]) < 1e-9


@pytest.mark.parametrize("mask", MASKS, ids=str)
def test_a_mask_only_forbids(mask):
    logits = torch.randn(3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if isinstance(mask, NoRepeatNGram):
        text = type("Texts", (), {"prompt": [1]})
        found = [mask.compose_text(logits, text, list(new)) for new in ((), (0, 1), (1, 2, 1))]
    else:
        states = [torch.as_tensor(mask.start([1], 3))]
        states += [mask.step(states[0], torch.tensor(1), None)]
        found = [mask.read(state, logits) for state in states]
    assert any(row.isneginf().any() for row in found)
    assert all(torch.equal(row, torch.where(row.isneginf(), row, logits)) for row in found)
