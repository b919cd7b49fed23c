"""Case: speculative sampling of a chain (SpecTr card, A): exact, and as fast as the formula says."""

from typing import Any

import pytest
import torch
from one_step import committed, mean
from planted_rules import Fresh, Swapped

from penstock.ir.draft import Growth
from penstock.ir.op import op
from penstock.ir.rules import RULES
from penstock.library import ModelDrafter, ModelVerifier, Repetition, Temperature, ToyGrammar
from penstock.passes import sequence
from penstock.testing import certify_stages, decode_stages

CHAIN = (ModelDrafter(model="d", length=2), ModelVerifier(model="t"))
SHAPED = (Repetition(alpha=1.4), ToyGrammar.over(3), Temperature(value=0.7))
T = [0.5, 0.3, 0.15, 0.05]
D = [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("shape", [(), SHAPED, (Temperature(value=0),)])
@pytest.mark.parametrize(("eos", "batch"), [((), 1), ((2,), 3)])
def test_exact_over_two_steps_and_more(shape, eos, batch):
    certificate = certify_stages([*CHAIN, *shape], limit=4, eos=eos, batch=batch)
    assert certificate.holds, certificate.report()
    assert shape or not certificate.not_exercised


def test_exact_without_mirroring():
    certificate = certify_stages([CHAIN[0].model_copy(update={"mirror": False}), CHAIN[1], *SHAPED], limit=4)
    assert certificate.holds, certificate.report()


@pytest.mark.parametrize("paths", [1, 2])
def test_exact_where_nothing_may_follow_a_token(paths):
    """A grammar that is over at the end of text: what is drafted below it has no distribution, and is never a child."""
    ends = ToyGrammar(table=((0, 0, 1), (-1, -1, -1)))
    stages = (ModelDrafter(model="d", length=2, paths=paths), ModelVerifier(model="t"), ends)
    certificate = certify_stages(stages, limit=4, eos=(2,), batch=2)
    assert certificate.holds, certificate.report()
    lowered, meant = (decode_stages(stages, range(6), lowered=x, eos=(2,), limit=8) for x in (True, False))
    assert lowered == meant


def test_a_self_draft_is_never_refused():
    certificate = certify_stages([ModelDrafter(model="t", length=3), CHAIN[1]], limit=5)
    assert certificate.holds, certificate.report()
    law = committed([ModelDrafter(model="t", length=3), CHAIN[1]], T, T)
    assert law[4] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("length, tokens", [(1, 1.8), (2, 2.44), (3, 2.952), (5, 3.68928)])
def test_tokens_a_step_are_as_the_formula_says(length, tokens):
    """``(1 - alpha^(g+1)) / (1 - alpha)`` at an acceptance of .8: exact, nothing is sampled."""
    law = committed([ModelDrafter(model="d", length=length), CHAIN[1]], [0.5, 0.5], [0.3, 0.7])
    assert mean(law) == pytest.approx(tokens, abs=1e-9)


def test_the_first_token_is_accepted_as_often_as_the_overlap():
    assert committed([ModelDrafter(model="d", length=1), CHAIN[1]], T, D)[2] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("shape", [(), (Repetition(alpha=1.4), Temperature(value=0.7)), (Temperature(value=0),)])
def test_lowered_it_decodes_what_its_meaning_decodes(shape):
    stages = (ModelDrafter(model="d", length=3), ModelVerifier(model="t"), *shape)
    for keys in (range(6), [5]):
        lowered, meant = (decode_stages(stages, keys, lowered=x, vocab=5, eos=(4,), limit=14) for x in (True, False))
        assert lowered == meant
    assert (
        decode_stages(stages, [0], vocab=5, eos=(4,), limit=14)[0]
        == decode_stages(stages, range(3), vocab=5, eos=(4,), limit=14)[0]
    )


# --- planted faults ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wrong", [Fresh, Swapped])
def test_a_wrong_rule_is_seen(wrong, monkeypatch):
    monkeypatch.setitem(RULES, "kseq", wrong())
    assert certify_stages(CHAIN).against_text > 1e-3


class Sharpened(ModelDrafter):
    """Planted: tokens are drawn from a sharper distribution than the one that is handed on."""

    def propose(self, step: Any, stage: str) -> Any:
        growth = Growth(step, self.seat, stage)
        growth.draw(sharper(growth.distribution()))
        growth.levels[0] = (*growth.levels[0][:2], growth.distribution())
        return growth.finish("iid", width=1)


@op()
def sharper(q: torch.Tensor) -> torch.Tensor:
    """``q^2``, renormalised."""
    return q**2 / (q**2).sum(-1, keepdim=True)


def test_a_q_that_nothing_was_drawn_from_is_seen():
    assert certify_stages([Sharpened(model="d", length=1), CHAIN[1]]).against_text > 1e-3


class OneSiteLate(ModelVerifier):
    """Planted: every site is judged by its parent's logits."""

    def score(self, step: Any, stage: str) -> Any:
        scored = super().score(step, stage)
        scored.raw = scored.composed = late(scored.raw)
        return scored


@op()
def late(logits: torch.Tensor) -> torch.Tensor:
    """Each site holds the logits of the one before it."""
    return torch.cat([logits[:, :1], logits[:, :-1]], 1)


def test_a_bonus_drawn_at_the_wrong_site_is_seen():
    assert certify_stages([CHAIN[0], OneSiteLate(model="t")]).against_text > 1e-3


def test_an_unwarped_target_is_seen(monkeypatch):
    """Planted: the verdict is on the logits without the temperature that the reference has."""
    monkeypatch.setattr(sequence, "composed", lambda step, order, scored: scored.raw)
    assert certify_stages([*CHAIN, Temperature(value=0.5)]).against_text > 1e-3
