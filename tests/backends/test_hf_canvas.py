"""Canvases on Hugging Face models: full view both ways, the reference's tokens, and never more forwards."""

import copy

import pytest
import torch
from tiny_models import VOCAB, tiny_model

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request, forwards, read
from penstock.ir.standin import StandIn
from penstock.library import Confidence, FreeDave, ModelDenoiser, Threshold
from penstock.passes.build import build
from penstock.passes.order import elaborate

MASK, PROMPTS = VOCAB - 1, ([3, 1, 4], [1, 5, 9, 2, 6], [])
# The last has a token given: masks alone, seen from all sides, would tie at every position.
CANVASES = ([MASK] * 7, [MASK] * 4, [MASK, MASK, 7, MASK, MASK, MASK])


@pytest.fixture(scope="module")
def twin():
    return tiny_model("llama", seed=2)


@pytest.fixture(scope="module")
def model(twin):
    return HuggingFaceModel(copy.deepcopy(twin), "tiny", mask=MASK)


def fill(model, unmasker):
    view = StandIn("tiny", model.vocab, model.width, model.layers, model.capabilities, MASK)
    step = build(elaborate((ModelDenoiser(model="m"), unmasker)), {"m": view})
    decoder = Decoder(step, {"m": model}, lower(step))
    rows = [Request({"m": prompt}, 0, canvas=canvas) for prompt, canvas in zip(PROMPTS, CANVASES, strict=True)]
    state = decoder.generate(decoder.start(rows))
    return [row.tokens for row in read(state)], [row["m"] for row in forwards(state)]


@torch.no_grad()
def static(twin, prompt, canvas, per_step):
    """The same by whole forwards of transformers, a mask of zeros for a mask."""
    tokens = list(canvas)
    while MASK in tokens:
        ids = torch.tensor([[*prompt, *tokens]])
        logits = twin(ids, attention_mask=torch.zeros(1, 1, ids.shape[1], ids.shape[1]), use_cache=False).logits[0, len(prompt) :]
        logits[:, MASK] = -torch.inf
        sure, token = logits.softmax(-1).max(-1)
        masked = [i for i, each in enumerate(tokens) if each == MASK]
        for i in sorted(masked, key=lambda i: -float(sure[i]))[:per_step]:
            tokens[i] = int(token[i])
    return tokens


@pytest.mark.parametrize("per_step", [1, 2])
def test_rows_of_unequal_prompts_are_filled_as_transformers_would(twin, model, per_step):
    right = [static(twin, prompt, canvas, per_step) for prompt, canvas in zip(PROMPTS, CANVASES, strict=True)]
    tokens, calls = fill(model, Confidence(per_step=per_step))
    assert tokens == right and calls == [-(-canvas.count(MASK) // per_step) for canvas in CANVASES]


@pytest.mark.parametrize("unmasker", [Confidence(), Confidence(order="left_to_right"), Threshold(threshold=0.3)])
def test_freedave_gives_the_same_tokens_with_no_more_forwards(model, unmasker):
    plain, calls = fill(model, unmasker)
    tokens, fewer = fill(model, FreeDave(unmasker=unmasker, drafts=4))
    assert tokens == plain and all(a <= b for a, b in zip(fewer, calls, strict=True))
