"""Every acceptance rule with every drafter: exact, or refused with both named and the rule that fits."""

from itertools import product
from typing import Any

import pytest

from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.rules import AUTO, RULES
from penstock.library import (
    Ambedkar,
    Auto,
    Del,
    EntropyAdaptive,
    HiddenThought,
    LayerSkip,
    ModelDrafter,
    ModelVerifier,
    OrElse,
    Pause,
    PromptLookup,
    PromptTokens,
    Repetition,
    StochasticBeam,
    Temperature,
    TopKTree,
    ToyGrammar,
)
from penstock.testing import certify_stages, decode_stages

LOOKUP, BEAM = PromptLookup(length=2), StochasticBeam(model="d", width=2, length=2)
ONE_PATH, ANY = {"kseq", "block", "match", "coupled", "greedy"}, {"match", "greedy"}
FITTING: dict[str, tuple[Stage, set[str], str]] = {
    "chain": (ModelDrafter(model="d", length=2), ONE_PATH, "iid"),
    "auto": (ModelDrafter(model="d", length=Auto(longest=2)), ONE_PATH, "iid"),
    "auto_lookup": (PromptLookup(length=Auto(longest=2)), ONE_PATH, "fixed"),
    "likeliest": (ModelDrafter(model="d", length=2, greedy=True), ONE_PATH, "fixed"),
    "paths": (ModelDrafter(model="d", length=2, paths=2), {"kseq", *ANY}, "iid"),
    "lookup": (LOOKUP, ONE_PATH, "fixed"),
    "tree": (TopKTree(model="d", branching=(2, 1)), ANY, "arbitrary"),
    "beam": (BEAM, {"recursive", *ANY}, "without_replacement"),
    "ppd": (PromptTokens(view="t").small(3), ANY, "arbitrary"),
    "layerskip": (LayerSkip(model="t", exit=1, length=2), ONE_PATH, "iid"),
    "del": (Del(model="t", exits=(1, 2), longest=2), ONE_PATH, "iid"),
    "lookup_or_chain": (OrElse(first=LOOKUP, second=ModelDrafter(model="d", length=2)), ONE_PATH, "fixed or iid"),
    "lookup_or_beam": (OrElse(first=LOOKUP, second=BEAM), ANY, "fixed or without_replacement"),
}
"""By drafter: the rules that are exact for it, and its law."""
SHAPES: dict[str, tuple[Stage, ...]] = {
    "none": (),
    "masked": (Repetition(alpha=1.4), ToyGrammar.over(3)),
    "warm": (Temperature(value=0.8),),
    "steered": (Ambedkar(model="f", view="swapped", alpha=2.0, k=2, select="sample"), Pause(at=(0,))),
}
SMALL: dict[str, Any] = dict(eos=(2,), limit=3, prompted=("swapped",))


def scorer(name: str, rule: str) -> Stage:
    """A verifier that names this rule."""
    if name == "ead":
        return EntropyAdaptive(models=("t", "l"), tau=1.0, window=2, d_min=1, rule=rule)
    return HiddenThought(model="t", helper="h", marker=1, rule=rule) if name == "hcot" else ModelVerifier(model="t", rule=rule)


def exact(stages: list[Stage]) -> None:
    certificate = certify_stages(stages, batch=2, **SMALL)
    assert certificate.holds, certificate.report()
    lowered, meant = (decode_stages(stages, [5, 11], lowered=x, **SMALL) for x in (True, False))
    assert lowered == meant


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", FITTING)
def test_a_rule_is_exact_for_a_draft_or_refused_with_the_one_that_fits(name, rule):
    drafter, fitting, law = FITTING[name]
    stages = [drafter, ModelVerifier(model="t", rule=rule)]
    if rule in fitting:
        exact(stages)
        return
    with pytest.raises(PenstockError) as refused:
        certify_stages(stages, batch=2, **SMALL)
    assert refused.value.what.startswith(f"stage verifier.model.0, field rule: {rule} is for ")
    assert f"{drafter.kind}.0 drafts" in refused.value.what
    assert refused.value.fix is not None and "rule: auto" in refused.value.fix
    if " or " not in law:
        assert refused.value.fix.startswith(f"rule: {AUTO[law]}, ") and AUTO[law] in fitting


FULL = [
    (drafter, rule, verifier, shape)
    for drafter, rule, verifier, shape in product(FITTING, RULES, ("model", "hcot", "ead"), SHAPES)
    if rule in FITTING[drafter][1]
    and (verifier, shape) != ("model", "none")
    and not (rule == "greedy" and shape == "warm")
    and not (verifier == "ead" and drafter in ("ppd", "layerskip", "del"))
]
SOME = {cell for i, cell in enumerate(FULL) if i % 31 == 0}


@pytest.mark.parametrize(
    ("drafter", "rule", "verifier", "shape"),
    [pytest.param(*cell, id="-".join(cell), marks=[] if cell in SOME else pytest.mark.full) for cell in FULL],
)
def test_a_fitting_rule_is_exact_with_every_scorer_and_shape(drafter, rule, verifier, shape):
    exact([FITTING[drafter][0], scorer(verifier, rule), *SHAPES[shape]])
