"""Case: a penalty from a counterfactual view at every site of a draft (library/steer/ambedkar.py), proven, and planted faults."""

from typing import Any

import pytest
import torch
from ambedkar_oracle import Method
from torch import Tensor

from penstock.backends.enumerate.certify import law_of
from penstock.backends.enumerate.law import total_variation
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.host import Feed
from penstock.ir.op import op
from penstock.ir.ops.divergence import js_shares
from penstock.ir.state import View
from penstock.library import Ambedkar, EntropyAdaptive, ModelDrafter, ModelVerifier, Repetition, Temperature, ToyGrammar
from penstock.library.steer import ambedkar
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages, small_world

CHAIN, TREE = ModelDrafter(model="d", length=2), ModelDrafter(model="d", length=2, paths=2)
TARGET = ModelVerifier(model="t")
SHAPED = (Temperature(value=0.8), Repetition(alpha=1.3), ToyGrammar.over(3))
SWAPPED = dict(prompted=["swapped"])


def steered(kind: type[Ambedkar] = Ambedkar, **fields: Any) -> Ambedkar:
    return kind(**dict(model="v", view="swapped", alpha=8.0, k=2, select="sample") | fields)


LOCAL, AFTER = steered(), steered(penalty="after", alpha=4.0)


@pytest.mark.parametrize(
    ("stages", "small"),
    [
        ((TARGET, LOCAL), dict(batch=2)),
        ((CHAIN, TARGET, LOCAL), dict(batch=3, layers={"v": 2})),
        ((TREE, TARGET, LOCAL), dict()),
        ((TREE, TARGET, steered(k=3), *SHAPED), dict(batch=2, eos=(2,))),
        ((CHAIN, TARGET, AFTER), dict(batch=2, layers={"v": 2})),
        ((TREE, TARGET, steered(penalty="after", k=3), *SHAPED), dict(batch=2, eos=(2,))),
        ((CHAIN, TARGET, steered(model="t", penalty="after")), dict()),  # the target is its own verifier
        ((CHAIN, TARGET, Repetition(), steered(select="sample", temperature=0.7, exempt=(2,))), dict(eos=(2,))),
    ],
)
def test_exact_with_any_draft(stages, small):
    certificate = certify_stages(stages, limit=4, **SWAPPED, **small)
    assert certificate.holds and not certificate.not_exercised, certificate.report()


@pytest.mark.parametrize("fields", [dict(select="argmax"), dict(select="argmax", penalty="after"), dict(select="argmin")])
def test_exact_where_one_candidate_is_selected(fields):
    certificate = certify_stages((TREE, TARGET, steered(**fields)), limit=4, batch=2, **SWAPPED)
    assert certificate.holds and len(certificate.found.law) == 1, certificate.report()


BESIDE = EntropyAdaptive(models=("t", "v"), tau=1.0, window=2, d_min=1)


def test_exact_beside_models_that_take_turns():
    stages = (CHAIN, BESIDE, steered(fair="fair", penalty="after"), Repetition(alpha=1.3))
    certificate = certify_stages(stages, limit=4, batch=2, **SWAPPED)
    assert certificate.holds and not certificate.not_exercised, certificate.report()


def test_a_view_that_some_rows_have_scored_in_is_not_fed_again():
    with pytest.raises(PenstockError, match="switched.0 and steer.ambedkar.0 both score in the view v"):
        certify_stages((CHAIN, BESIDE, steered()), **SWAPPED)


def law_and_truth(stage: Ambedkar, limit: int = 3) -> tuple[Any, Any]:
    """The law as enumerated, with a draft, and as the card's own words give it."""
    stages = (CHAIN, TARGET, stage)
    world = small_world(stages, limit=limit, **SWAPPED)
    base, verifier, prompts = world.models["t"], world.models["v"], world.prompts
    fields = dict(alpha=stage.alpha, k=stage.k, after=stage.penalty == "after")
    method = Method(base, verifier, prompts["t"][0], prompts["swapped"][0], **fields)
    return law_of(elaborate(stages), world).law, method.law(limit, stage.temperature)


@pytest.mark.parametrize("stage", [LOCAL, AFTER, steered(k=3, temperature=0.6)])
def test_exact_against_the_card_in_plain_python(stage):
    assert total_variation(*law_and_truth(stage)) < 1e-12


@op("state", borrows=1)
def after_prompt(view: View, sites: int) -> Tensor:
    """What a view says after its prompt alone, at every site."""
    rows, n = view.prefix.shape
    cache = view.model.new_cache(rows, n)
    slots = torch.arange(n).expand(rows, -1)
    visible = (torch.arange(n + 1) <= torch.arange(n)[:, None]).expand(rows, -1, -1)
    logits = view.model.forward(cache, Feed(view.prefix, slots, slots, visible)).logits
    return logits[torch.arange(rows), view.prefix_length - 1][:, None].expand(-1, sites, -1)


class NotAppended(Ambedkar):
    """The counterfactual branch never sees what was generated (the reference code's bug)."""

    kind = "tests.not_appended"

    def moved(self, step: Any, tokens: Any) -> Any:
        swapped = after_prompt("view:swapped", 1 + (step.draft.nodes if step.draft else 0))
        return ambedkar.of_candidates(js_shares(step.beside(self.model), swapped), tokens)


class AfterAsLocal(Ambedkar):
    """The penalty after a candidate is appended, implemented as the one before."""

    kind = "tests.after_as_local"

    def moved(self, step: Any, tokens: Any) -> Any:
        return super(AfterAsLocal, self.model_copy(update={"penalty": "local"})).moved(step, tokens)


class Rewarded(Ambedkar):
    """The wrong sign."""

    kind = "tests.rewarded"

    def selected(self, logits: Any, tokens: Any, log_p: Any, moved: Any) -> Any:
        return super().selected(logits, tokens, log_p, -1.0 * moved)


class VerifierProposes(Ambedkar):
    """The verifier's log-probabilities where the target's belong."""

    kind = "tests.verifier_proposes"

    def compose(self, step: Any, logits: Any, stage: str) -> Any:
        tokens, _ = ambedkar.candidates(logits, self.k)
        log_p = ambedkar.of_candidates(step.beside(self.model).log_softmax(-1), tokens)
        return self.selected(logits, tokens, log_p, self.moved(step, tokens))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [(NotAppended, {}), (AfterAsLocal, dict(penalty="after")), (Rewarded, dict(alpha=2.0)), (VerifierProposes, {})],
)
def test_planted_faults_change_the_law(kind, fields):
    assert total_variation(*law_and_truth(steered(kind, **fields))) > 1e-3
    assert total_variation(*law_and_truth(steered(Ambedkar, **fields))) < 1e-12


@op()
def base_2(a: Tensor, b: Tensor) -> Tensor:
    """Planted: bits for nats."""
    return js_shares.meaning(a, b) / torch.tensor(2.0).log()


@op()
def bernoulli(a: Tensor, b: Tensor) -> Tensor:
    """Planted: the divergence of being this token or not."""
    p, q = a.softmax(-1), b.softmax(-1)
    half = lambda x, y: torch.xlogy(x, 2 * x / (x + y)) / 2  # noqa: E731
    return half(p, q) + half(q, p) + half(1 - p, 1 - q) + half(1 - q, 1 - p)


@op()
def kl(a: Tensor, b: Tensor) -> Tensor:
    """Planted: the Kullback-Leibler share, which can be negative."""
    p, q = a.softmax(-1), b.softmax(-1)
    return p * (p / q).log()


@pytest.mark.parametrize("wrong", [base_2, bernoulli, kl])
def test_planted_divergences_change_the_law(wrong, monkeypatch):
    monkeypatch.setattr(ambedkar, "js_shares", wrong)
    assert total_variation(*law_and_truth(LOCAL)) > 1e-3


@pytest.mark.parametrize("drafter", [(), (ModelDrafter(model="d", length=3),), (TREE,)])
@pytest.mark.parametrize("fields", [{}, dict(penalty="after"), dict(select="argmax")])
def test_lowered_decodes_what_the_meaning_does(drafter, fields):
    stages: tuple[Stage, ...] = (*drafter, TARGET, steered(k=3, **fields), Repetition(alpha=1.2))
    small = dict(vocab=7, limit=16, eos=(3,), layers={"v": 2}, **SWAPPED)
    for keys in ([5], [1, 2, 3]):
        assert decode_stages(stages, keys, **small) == decode_stages(stages, keys, lowered=False, **small)
