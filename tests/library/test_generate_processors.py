"""Greedy texts under many processors at once, drafted in a tree, against transformers' own `generate`."""

import pytest
import torch
from whole_transformers import weights

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request
from penstock.ir.standin import StandIn
from penstock.library import (
    Ban,
    Bias,
    Force,
    MaxLength,
    MinLength,
    ModelDrafter,
    ModelVerifier,
    NoRepeatNGram,
    Repetition,
    SuppressAtBegin,
    Temperature,
    TopKTree,
)
from penstock.passes.build import build
from penstock.passes.order import elaborate
from penstock.testing import interpreted, views_of

PROMPTS = [[5, 17, 3], [60, 2], [8]]
LIMIT, EOS = 14, 7
COLD = Temperature(value=0)
LIKED = {(EOS,): 2.0, (12, 40): 5.0, (3, 12): 6.0, (60, 2, 9): 8.0}
BIASED = tuple(LIKED.items())
CASES = {
    "penalties": ((Repetition(alpha=1.4), NoRepeatNGram(size=2)), dict(repetition_penalty=1.4, no_repeat_ngram_size=2)),
    "no token twice": ((NoRepeatNGram(size=1),), dict(no_repeat_ngram_size=1)),
    "bias": ((Bias(sequences=BIASED),), dict(sequence_bias=LIKED)),
    "bans": (
        (Bias(sequences=BIASED), Ban(tokens=(40, 31), sequences=((3, 12), (12, 9, 60))), SuppressAtBegin(tokens=(9, 12, 77))),
        dict(
            sequence_bias=LIKED,
            bad_words_ids=[[3, 12], [12, 9, 60]],
            suppress_tokens=[40, 31],
            begin_suppress_tokens=[9, 12, 77],
        ),
    ),
    "lengths": (
        (Bias(tokens=((EOS, 30.0),)), MinLength(length=6, eos=(EOS,))),
        dict(sequence_bias={(EOS,): 30.0}, min_new_tokens=6),
    ),
    "ends": (
        (Repetition(alpha=1.3), Force(token=33, at=10), MaxLength(length=11)),
        dict(repetition_penalty=1.3, forced_eos_token_id=33, max_new_tokens=11),
    ),
}


@pytest.fixture(scope="module")
def models():
    return {view: HuggingFaceModel(weights("llama", seed), view) for view, seed in (("t", 5), ("draft:d", 6))}


@pytest.fixture(scope="module")
def whole():
    return weights("llama")


def decoded(stages, models, run):
    bound = {view: models[view] for view in views_of(stages)}
    step = build(elaborate(stages), {view: StandIn.of(model) for view, model in bound.items()}, eos=(EOS,))
    requests = [Request(dict.fromkeys(bound, prompt), LIMIT, key=i) for i, prompt in enumerate(PROMPTS)]
    return [row.tokens for row in Decoder(step, bound, run(step)).decode(requests)]


def generated(whole, prompt, asked):
    ids = torch.tensor([prompt])
    options = dict(max_new_tokens=LIMIT, do_sample=False, eos_token_id=EOS, pad_token_id=0) | asked
    return whole.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, len(prompt) :].tolist()


@pytest.mark.parametrize("case", CASES)
def test_the_tokens_are_those_of_generate(case, models, whole):
    stages, asked = CASES[case]
    wanted = [generated(whole, prompt, asked) for prompt in PROMPTS]
    assert wanted != [generated(whole, prompt, {}) for prompt in PROMPTS]
    chains, tree = ModelDrafter(model="d", length=3, paths=2), TopKTree(model="d", branching=(3, 2))
    for drafter in ((), (chains,), (tree,)):
        assert decoded((*drafter, ModelVerifier(model="t"), *stages, COLD), models, lower) == wanted
    assert decoded((chains, ModelVerifier(model="t"), *stages, COLD), models, interpreted) == wanted
