"""Guidance, contrastive decoding and DoLa: against transformers, against definitions in plain Python, and certified."""

import math

import pytest
import torch
from site_logits import SITES, V, one_token, random
from tiny_models import VOCAB
from transformers.generation.logits_process import UnbatchedClassifierFreeGuidanceLogitsProcessor
from whole_transformers import Whole, weights

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request
from penstock.ir.standin import StandIn
from penstock.library import (
    Bias,
    Contrast,
    ContrastLayers,
    Guidance,
    ModelDrafter,
    ModelVerifier,
    Repetition,
    Temperature,
    TopK,
)
from penstock.library.steer.contrast import contrasted
from penstock.library.steer.contrast_layers import furthest
from penstock.library.steer.guidance import guided
from penstock.passes.build import build
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, interpreted, views_of

TARGET, DRAFT, WARM = ModelVerifier(model="t"), ModelDrafter(model="d", length=2, paths=2), Temperature(value=0.8)


# --- the arithmetic ------------------------------------------------------------------------------------------------
class Says:
    """A model whose logits are always these."""

    def __init__(self, logits):
        self.logits = logits

    def __call__(self, ids, **options):
        return type("Out", (dict,), {"logits": self.logits[:, None]})()


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("scale", [1.0, 1.5, 4.0, 0.5])
def test_guidance_is_what_transformers_makes_of_both_branches(scale, site):
    cond, uncond = SITES[site].float(), random(9)
    theirs = UnbatchedClassifierFreeGuidanceLogitsProcessor(scale, Says(uncond))(torch.zeros(3, 1).long(), cond)
    torch.testing.assert_close(guided(cond, uncond, scale), theirs)


def test_no_scale_frees_a_forbidden_token_or_makes_a_number_of_none():
    for scale in (0.0, 0.5, 1.0, 7.0):
        found = guided(one_token(), random(), scale)
        assert torch.equal(found.isneginf(), one_token().isneginf()) and not found.isnan().any()
    assert torch.equal(guided(random(), random(1), 0.0), random(1).log_softmax(-1))
    each = guided(random()[:, None], random(1)[:, None], torch.tensor([0.0, 1.0, 3.0]))
    assert torch.equal(each[:, 0], torch.stack([guided(random()[i], random(1)[i], s) for i, s in enumerate((0.0, 1.0, 3.0))]))


@pytest.mark.parametrize("site", SITES)
def test_contrast_is_its_definition(site):
    expert, amateur = SITES[site].double(), random(9).double()
    for strength, alpha, temperature in ((1.0, 0.1, 1.0), (0.5, 0.01, 0.5), (0.0, 1.0, 2.0)):
        found = contrasted(expert, amateur, strength, alpha, temperature)
        log_q = (amateur / temperature).log_softmax(-1)
        for p, q, row in zip(expert.softmax(-1).tolist(), log_q.tolist(), found.tolist(), strict=True):
            wanted = [
                math.log(x) - strength * y if x >= alpha * max(p) * (1 - 1e-12) else -math.inf for x, y in zip(p, q, strict=True)
            ]
            assert row == pytest.approx(wanted, abs=1e-10)


def test_without_the_mask_an_implausible_token_would_win():
    expert, amateur = torch.tensor([0.9, 0.099, 0.001]).log(), torch.tensor([0.9, 0.1 - 1e-9, 1e-9]).log()
    assert int(contrasted(expert, amateur, 1.0, 1e-9).argmax()) == 2
    assert contrasted(expert, amateur, 1.0, 0.1).isfinite().tolist() == [True, True, False]


def jensen_shannon(p, q):
    m = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    return sum((x * math.log(x / z) if x else 0) + (y * math.log(y / z) if y else 0) for x, y, z in zip(p, q, m, strict=True)) / 2


def test_the_early_layer_is_the_one_furthest_from_the_last_at_every_site():
    exits = torch.randn(2, 4, 3, V, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2
    final = torch.randn(2, 3, V, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2
    found, chosen = furthest(exits, final), set()
    for b in range(2):
        for s in range(3):
            p = final[b, s].softmax(-1).tolist()
            apart = [jensen_shannon(p, exits[b, layer, s].softmax(-1).tolist()) for layer in range(4)]
            chosen.add(apart.index(max(apart)))
            assert torch.equal(found[b, s], exits[b, apart.index(max(apart)), s])
    assert len(chosen) > 1
    same = exits[:, :1].expand(-1, 4, -1, -1).clone()
    assert torch.equal(furthest(same, final), same[:, 0])


# --- whole texts of real transformers ------------------------------------------------------------------------------
PROMPTS = [[5, 17, 3], [60, 2], [9, 9, 31, 4]]


def decoded(stages, models, prompts, limit=16, run=lower):
    """Tokens by row, and the target forwards of the longest."""
    bound = {view: models[name] for view, name in views_of(stages).items()}
    step = build(elaborate(stages), {v: StandIn.of(m) for v, m in bound.items()})
    rows = [{v: prompts.get(v, prompts["t"])[row] for v in bound} for row in range(len(prompts["t"]))]
    return [r.tokens for r in Decoder(step, bound, run(step)).decode([Request(row, limit, key=i) for i, row in enumerate(rows)])]


@pytest.fixture(scope="module")
def models():
    return {name: HuggingFaceModel(weights("llama", seed), name) for name, seed in (("t", 5), ("d", 6), ("a", 7))}


def greedy(prompts, choose, limit=16):
    """Texts by a function of a row and its text so far."""
    texts = []
    for row in range(len(prompts)):
        texts.append([])
        for _ in range(limit):
            texts[-1].append(int(choose(row, texts[-1]).argmax()))
    return texts


@pytest.mark.parametrize("scale", [1.5, 3.0])
@pytest.mark.parametrize("negative", [False, True])
def test_guided_texts_are_those_of_transformers_generate(models, scale, negative):
    others = [[7, 7], [50], [1, 2, 3]] if negative else [prompt[-1:] for prompt in PROMPTS]
    guiding = Guidance(model="t", view="u", scale=scale)
    for drafted in ((), (ModelDrafter(model="d", length=3, paths=2),)):
        stages = (*drafted, TARGET, guiding, Repetition(alpha=1.3), Temperature(value=0))
        found = decoded(stages, models, {"t": PROMPTS, "u": others})
        for prompt, other, row in zip(PROMPTS, others, found, strict=True):
            told = dict(negative_prompt_ids=torch.tensor([other])) if negative else {}
            options = dict(max_new_tokens=16, do_sample=False, guidance_scale=scale, repetition_penalty=1.3, pad_token_id=0)
            out = weights("llama").generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), **options, **told)
            assert row == out[0, len(prompt) :].tolist()
    assert found != decoded((TARGET, Repetition(alpha=1.3), Temperature(value=0)), models, {"t": PROMPTS})


def test_contrasted_texts_read_the_amateur_after_every_token(models):
    expert, amateur = Whole("llama", 5), Whole("llama", 7)
    stages = (ModelDrafter(model="d", length=3, paths=2), TARGET, Contrast(model="a", alpha=0.2), Temperature(value=0))
    wanted = greedy(
        PROMPTS,
        lambda row, text: contrasted(
            *(model.from_scratch(torch.tensor(PROMPTS[row] + text))[-1] for model in (expert, amateur)), 1.0, 0.2
        ),
    )
    found = decoded(stages, models, {"t": PROMPTS})
    assert found == wanted == decoded(stages, models, {"t": PROMPTS}, run=interpreted)


@pytest.mark.parametrize("layers", [(1,), (1, 2, 3)])
def test_layers_of_a_transformer_are_contrasted_through_its_own_head(models, layers):
    whole = weights("llama")

    def choose(row, text):
        with torch.inference_mode():
            out = whole(torch.tensor([PROMPTS[row] + text]), output_hidden_states=True)
            exits = [whole.lm_head(whole.model.norm(out.hidden_states[layer][0, -1])) for layer in layers]
        p = out.logits[0, -1].double()
        apart = [jensen_shannon(p.softmax(-1).tolist(), exit.double().softmax(-1).tolist()) for exit in exits]
        return contrasted(p, exits[apart.index(max(apart))].double(), 1.0, 0.1)

    for drafted in ((), (ModelDrafter(model="d", length=3, paths=2),)):
        stages = (*drafted, TARGET, ContrastLayers(model="t", layers=layers), Temperature(value=0))
        assert decoded(stages, models, {"t": PROMPTS}) == greedy(PROMPTS, choose)
    assert max(map(max, decoded(stages, models, {"t": PROMPTS}))) < VOCAB


# --- certified -----------------------------------------------------------------------------------------------------
GUIDING = [
    Guidance(model="t", view="u", scale=2.0),
    Guidance(model="f", view="u", scale=0.0),
    Contrast(model="a"),
    Contrast(model="a", view="u", strength=0.5, alpha=0.4, temperature=0.6),
    ContrastLayers(model="t", layers=(1,)),
    ContrastLayers(model="t", layers=(1, 2), alpha=0.3),
]


@pytest.mark.parametrize("after", [(WARM,), (TopK(k=2), Repetition(alpha=1.5))], ids=["warm", "cut"])
@pytest.mark.parametrize("stage", GUIDING, ids=str)
def test_certified_at_every_site_under_sampling(stage, after):
    for drafter in (DRAFT, ModelDrafter(model="t", length=2)):
        certificate = certify_stages([drafter, TARGET, stage, *after], batch=2, eos=(2,), prompted=("u",))
        assert certificate.holds, certificate.report()


def test_what_was_shaped_before_does_not_move_the_choice_of_a_layer():
    stages = (DRAFT, TARGET, Bias(tokens=((0, 5.0),)), ContrastLayers(model="t", layers=(1, 2, 3), alpha=0.01))
    assert certify_stages(stages, batch=2, eos=(2,)).holds
