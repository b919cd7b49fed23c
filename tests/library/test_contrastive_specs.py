"""Guidance, contrastive decoding and DoLa as pipelines: what another branch reads, certified, and what is refused by name."""

import pytest

from penstock.dsl.pipeline import Pipeline, View
from penstock.face import certify, check, compile
from penstock.ir.errors import PenstockError
from penstock.library import (
    Contrast,
    ContrastLayers,
    EntropyAdaptive,
    Given,
    Guidance,
    HiddenThought,
    LastToken,
    ModelDrafter,
    ModelVerifier,
    Temperature,
)

TARGET, DRAFT, WARM = ModelVerifier(model="t"), ModelDrafter(model="d", length=2, paths=2), Temperature(value=0.8)
MODELS = {"t": "table:7:1:3", "d": "table:7:2"}


def guided_by(prompt, *drafter, after=()):
    views = {"u": View(model="t", prompt=prompt)}
    return Pipeline(models=MODELS, views=views, stages=(*drafter, TARGET, Guidance(model="t", view="u"), *after))


def test_the_other_branch_reads_the_last_token_or_what_is_given():
    last = compile(guided_by(LastToken(), DRAFT))
    assert last.views_of("1 2 5") == {"t": [1, 2, 5], "draft:d": [1, 2, 5], "u": [5]}
    assert compile(guided_by(Given(text="3 3"), DRAFT)).views_of("1 2 5")["u"] == [3, 3]
    cold, prompts = (Temperature(value=0),), ["1 2 5", "0", "6 6"]
    plain, drafted, other = (
        [row.tokens for row in compile(guided_by(*prompt, after=cold)).generate(prompts)]
        for prompt in ((LastToken(),), (LastToken(), DRAFT), (Given(text="3 3"),))
    )
    assert plain == drafted != other


def test_specs_of_all_three_are_certified():
    assert certify(guided_by(LastToken(), DRAFT, after=(WARM,))).holds
    assert certify(Pipeline(models=MODELS, stages=(DRAFT, TARGET, ContrastLayers(model="t", layers=(2, 1))))).holds
    assert certify(Pipeline(models=MODELS, stages=(DRAFT, TARGET, Contrast(model="d")))).holds


def test_guidance_by_the_same_prompt_is_refused():
    with pytest.raises(PenstockError, match="the view t reads the request's prompt, so nothing guides"):
        Guidance(model="t", view="t")


REFUSED = [
    (TARGET, ContrastLayers(model="t", layers=(1, 3)), "steer.contrast_layers.0, field layers: layer 3 of 3 is no early one"),
    (TARGET, ContrastLayers(model="d", layers=(1,)), "steer.contrast_layers.0, field layers: layer 1 of 1 is no early one"),
    (TARGET, ContrastLayers(model="t", layers=(1,), view="u"), "of the view u, and the verifier scores in t"),
    (
        EntropyAdaptive(models=("t", "d")),
        ContrastLayers(model="t", layers=(1,)),
        "steer.contrast_layers.0 reads layers of the view t, and stage verifier.switched.0 scores some rows in it",
    ),
    (
        HiddenThought(model="t", helper="d", marker=1),
        ContrastLayers(model="t", layers=(1,)),
        "steer.contrast_layers.0 compares the view t with another, and stage verifier.hcot.0 has it read more",
    ),
]


@pytest.mark.parametrize(("scorer", "stage", "what"), REFUSED, ids=[what for *_, what in REFUSED])
def test_layers_that_are_not_there_are_refused_by_name(scorer, stage, what):
    with pytest.raises(PenstockError, match=what):
        check(Pipeline(models=MODELS, views={"u": View(model="t")}, stages=(scorer, stage)))
