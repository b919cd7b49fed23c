"""Case: typical acceptance (Medusa, arXiv 2401.10774): an approximation, and exactly the one that its definition is."""

import math
from typing import Any

import pytest
import torch
from one_step import committed

from penstock.backends.enumerate.law import total_variation
from penstock.backends.enumerate.oracle import TextModels
from penstock.dsl.pipeline import Pipeline
from penstock.face import certify, explain, promise
from penstock.ir import rules
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.library import (
    ModelDrafter,
    ModelVerifier,
    PromptTokens,
    Repetition,
    StochasticBeam,
    Temperature,
    TopKTree,
    TypicalAcceptor,
)
from penstock.testing import certify_stages, decode_stages, small_world

TARGET, CHAIN = ModelVerifier(model="t"), ModelDrafter(model="d", length=2)
GREEDY = ModelDrafter(model="d", length=2, greedy=True)
KNOBS = [(0.09, 0.3), (0.3, 0.9), (0.5, 1.2)]
T, D = [0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]


def by_definition(stages, epsilon, delta, *, length, greedy, **small):
    """Every text with its probability, text by text: a drafted token stays where it is likely enough, else the target draws."""
    world = small_world(stages, **small)
    texts = TextModels(world.models, {view: prompts[0] for view, prompts in world.prompts.items()})
    law: dict[tuple[int, ...], float] = {}

    def drafted(text):
        p = texts.logits("draft:d", text).softmax(-1)
        return {int(p.argmax()): 1.0} if greedy else {x: float(p[x]) for x in range(len(p))}

    def extend(text, left, weight):
        if len(text) == world.limit or (text and text[-1] in world.eos):
            law[text] = law.get(text, 0.0) + weight
            return
        t = texts.logits("t", text).softmax(-1).tolist()
        floor = min(epsilon, delta * math.exp(sum(p * math.log(p) for p in t)))
        for x, chance in (drafted(text) if left else {-1: 1.0}).items():
            if left and t[x] > floor:
                extend((*text, x), left - 1, weight * chance)
                continue
            for y, p in enumerate(t):  # what is drawn may be the draft's token after all, and the step goes on
                extend((*text, y), left - 1 if y == x else length, weight * chance * p)

    extend((), length, 1.0)
    return law


@pytest.mark.parametrize("drafter", [CHAIN, GREEDY])
@pytest.mark.parametrize(("epsilon", "delta"), KNOBS)
def test_the_law_is_that_of_the_definition(drafter, epsilon, delta):
    stages = [drafter, TARGET, TypicalAcceptor(epsilon=epsilon, delta=delta)]
    small = dict(limit=4, eos=(2,), batch=2)
    certificate = certify_stages(stages, **small)
    truth = by_definition(stages, epsilon, delta, length=2, greedy=drafter.greedy, **small)
    assert total_variation(certificate.found.law, truth) < 1e-12
    assert certificate.against_text > 1e-2


def test_a_step_keeps_what_is_above_the_floor():
    """H(T) = 1.142 nats: the floor is .3 exp(-H) = .096, or an epsilon of .2."""
    one = ModelDrafter(model="d", length=1)
    for fields, kept in (({"epsilon": 0.2}, 0.1 + 0.2 + 0.3), ({"epsilon": 0.2, "delta": 0.6}, 0.1 + 0.2)):
        law = committed([one, TARGET, TypicalAcceptor(**fields)], T, D)
        again = sum(d * t for d, t in zip(D, T, strict=True) if t < (0.2 if "delta" in fields else 0.1))
        assert law[2] == pytest.approx(kept + again, abs=1e-12)


def test_the_sterner_the_closer_to_the_target():
    apart = [
        certify_stages([CHAIN, TARGET, TypicalAcceptor(epsilon=e, delta=d)], limit=3).against_text
        for e, d in ((0.01, 0.01), (0.3, 0.9), (0.6, 3.0))
    ]
    assert apart[0] > apart[1] > apart[2] > 1e-3
    none = certify_stages([CHAIN, TARGET, TypicalAcceptor(epsilon=0.999, delta=1e9)], limit=3)
    assert none.exact, none.report()


@pytest.mark.parametrize(
    "drafter",
    [
        CHAIN,
        ModelDrafter(model="d", length=2, paths=2),
        TopKTree(model="d", branching=(2, 1)),
        StochasticBeam(model="d", width=2, length=2),
        PromptTokens(view="t").small(3),
    ],
)
@pytest.mark.parametrize("shape", [(), (Repetition(alpha=1.4), Temperature(value=0.7)), (Temperature(value=0),)])
def test_any_draft_can_be_typical_and_lowered_is_as_meant(drafter, shape):
    stages = (drafter, TARGET, TypicalAcceptor(epsilon=0.3, delta=0.9), *shape)
    lowered, meant = (decode_stages(stages, range(6), lowered=x, eos=(2,), limit=12) for x in (True, False))
    assert lowered == meant
    if shape == (Temperature(value=0),):  # only the likeliest token is above any floor: nothing is approximate
        assert certify_stages(stages, limit=3).exact


def pipeline(*stages, rule="auto"):
    models = {"t": "table:7:1", "d": "table:7:2"}
    return Pipeline(models=models, stages=(CHAIN, ModelVerifier(model="t", rule=rule), *stages))


def test_its_promise_is_to_be_approximate_by_as_much_as_certify_computes():
    declared = pipeline(TypicalAcceptor())
    assert promise(declared) == "approximate, because of acceptor.typical.0"
    assert explain(declared).startswith("reference: verifier.model\n")
    certificate = certify(declared)
    assert certificate.holds and not certificate.exact and not certificate.not_exercised
    assert certificate.report().startswith("approximate, because of acceptor.typical.0: total variation ")


def test_beside_a_rule_that_the_verifier_names_it_is_refused_naming_both():
    with pytest.raises(PenstockError, match="stages verifier.model.0 and acceptor.typical.0 both say how drafts are accepted"):
        promise(pipeline(TypicalAcceptor(), rule="kseq"))
    with pytest.raises(PenstockError, match="stages acceptor.typical.0 and acceptor.typical.1 both say"):
        promise(pipeline(TypicalAcceptor(), TypicalAcceptor()))


# --- planted faults ------------------------------------------------------------------------------------------------
def in_bits(t: torch.Tensor, epsilon: float, delta: float) -> torch.Tensor:
    """Planted: the entropy is in bits."""
    return (delta * torch.exp(-torch.special.entr(t).sum(-1) / math.log(2))).clamp(max=epsilon)


def the_larger(t: torch.Tensor, epsilon: float, delta: float) -> torch.Tensor:
    """Planted: both bounds must be exceeded."""
    return (delta * torch.exp(-torch.special.entr(t).sum(-1))).clamp(min=epsilon)


def negated(t: torch.Tensor, epsilon: float, delta: float) -> torch.Tensor:
    """Planted: the less sure the target, the more is asked for."""
    return (delta * torch.exp(torch.special.entr(t).sum(-1))).clamp(max=epsilon)


@pytest.mark.parametrize("wrong", [in_bits, the_larger, negated])
def test_a_wrong_floor_is_seen(wrong: Any, monkeypatch):
    monkeypatch.setattr(rules, "typical_floor", op()(wrong))
    stages = [CHAIN, TARGET, TypicalAcceptor(epsilon=0.6, delta=0.9)]
    found = certify_stages(stages, limit=3).found.law
    assert total_variation(found, by_definition(stages, 0.6, 0.9, length=2, greedy=False, limit=3)) > 1e-3
