"""Case: drafts on the noise of the selections (Daliri et al., arXiv 2408.07978): the same tokens, guessed better."""

from itertools import product
from typing import Any, ClassVar

import pytest
import torch

from penstock.backends.eager.lower import lower
from penstock.backends.enumerate.certify import step_of
from penstock.backends.runtime.runner import Decoder, Request
from penstock.ir.draft import Growth
from penstock.ir.errors import PenstockError
from penstock.ir.ops import random
from penstock.ir.rules import RULES, Coupled, KSeq
from penstock.library import (
    Del,
    LayerSkip,
    ModelDrafter,
    ModelVerifier,
    OrElse,
    PromptLookup,
    Repetition,
    StochasticBeam,
    Temperature,
    TopKTree,
    ToyGrammar,
)
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages, small_world

COUPLED, MATCH = ModelVerifier(model="t", rule="coupled"), ModelVerifier(model="t", rule="match")
CHAIN = ModelDrafter(model="d", length=2)
SHAPED = (Repetition(alpha=1.4), ToyGrammar.over(3), Temperature(value=0.7))
T, D = [0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("shape", [(), SHAPED, (Temperature(value=0),)])
@pytest.mark.parametrize(("eos", "batch"), [((), 1), ((2,), 3)])
def test_exact_and_token_for_token(shape, eos, batch):
    certificate = certify_stages([CHAIN, COUPLED, *shape], limit=4, eos=eos, batch=batch)
    assert certificate.holds and certificate.same_tokens, certificate.report()
    assert shape or not certificate.not_exercised


DRAFTERS = [  # their model comes after the target in the alphabet, so that the target's table is the one it has alone
    (ModelDrafter(model="u", length=3), COUPLED),
    (ModelDrafter(model="u", length=2, greedy=True), COUPLED),
    (OrElse(first=PromptLookup(length=2), second=ModelDrafter(model="u", length=2)), COUPLED),
    (PromptLookup(length=3), COUPLED),
    (ModelDrafter(model="u", length=2, paths=2), MATCH),
    (TopKTree(model="u", branching=(2, 1)), MATCH),
]


@pytest.mark.parametrize("shape", [(), (Repetition(alpha=1.4), Temperature(value=0.7)), (Temperature(value=0),)])
def test_no_drafter_changes_a_token(shape):
    """Same seed, same tokens: with any drafter, with none, lowered or by the meaning of every op, coupled or merely matched."""
    alone = [row.tokens for row in decode_stages([COUPLED, *shape], range(6), vocab=5, eos=(4,), limit=12)]
    for stages in DRAFTERS:
        for lowered in (True, False):
            rows = decode_stages([*stages, *shape], range(6), lowered=lowered, vocab=5, eos=(4,), limit=12)
            assert [row.tokens for row in rows] == alone
    rows = decode_stages([*DRAFTERS[0], *shape], [5], vocab=5, eos=(4,), limit=12)
    assert rows[0].tokens == decode_stages([COUPLED, *shape], [5], vocab=5, eos=(4,), limit=12)[0].tokens


@pytest.mark.parametrize("drafter", [LayerSkip(model="t", exit=1, length=2), Del(model="t", exits=(1, 2), longest=2)])
def test_a_models_own_layers_guess_on_it_too(drafter):
    certificate = certify_stages([drafter, COUPLED], limit=4, batch=2)
    assert certificate.holds and certificate.same_tokens, certificate.report()


def agreement(t, d):
    """``sum_x 1 / sum_y max(d_y / d_x, t_y / t_x)``: how often the winners of both races on the same noise are one token."""
    total = 0.0
    for x in range(len(t)):
        total += 1 / sum(max(d[y] / d[x], t[y] / t[x]) for y in range(len(t)))
    return total


PAIRS = [([0.6, 0.3, 0.1], [0.2, 0.5, 0.3]), ([0.8, 0.1, 0.1], [0.3, 0.4, 0.3]), ([0.5, 0.2, 0.3],) * 2]


@pytest.mark.parametrize(("t", "d"), PAIRS)
def test_two_races_on_all_noise_agree_as_the_formula_says(t, d, monkeypatch):
    """The noise integrated over a grid of 41 quantiles a token: nothing is sampled."""
    grid = torch.tensor(list(product(range(41), repeat=3)), dtype=torch.float64)
    monkeypatch.setattr(random, "exponentials", lambda words, size: -torch.log1p(-(grid + 0.5) / 41))
    n = len(grid)
    place = (torch.zeros(n, dtype=torch.long), "a", "select", (0,))
    on = dict(live=torch.ones(n, dtype=torch.bool))
    drawn, guessed = (
        op.meaning(torch.tensor(p, dtype=torch.float64).expand(n, 3), *place, **on)
        for op, p in ((random.race, t), (random.foresee, d))
    )
    found = float((drawn == guessed).double().mean())
    assert found == pytest.approx(agreement(t, d), abs=4e-3)
    apart = sum(abs(a - b) for a, b in zip(t, d, strict=True)) / 2
    assert (1 - apart) / (1 + apart) - 4e-3 <= found <= 1 - apart + 4e-3


def first_accepted(stages, rows=4000):
    """How often a draft of one token is kept, over many keys, where target and draft say T and D after every text."""
    world = small_world(stages, vocab=4, limit=2)
    for view, model in world.models.items():
        model.tables[:] = torch.tensor(D if view.startswith("draft:") else T, dtype=torch.float64).log()
    step = step_of(elaborate(stages), world)
    requests = [Request({view: [1] for view in world.models}, 2, key) for key in range(rows)]
    return sum(row.steps == 1 for row in Decoder(step, world.models, lower(step)).decode(requests)) / rows


def near(found, expected, rows=4000):
    """Within 3.7 standard deviations."""
    return abs(found - expected) < 3.7 * (expected * (1 - expected) / rows) ** 0.5


ONE = ModelDrafter(model="d", length=1)


def test_a_step_accepts_as_often_as_the_formula_says_and_more_than_unshared_noise_does():
    assert near(first_accepted([ONE, COUPLED]), agreement(T, D))
    assert near(first_accepted([ONE, MATCH]), sum(a * b for a, b in zip(T, D, strict=True)))
    assert agreement(T, D) > 2 * sum(a * b for a, b in zip(T, D, strict=True))


def test_a_draft_like_the_target_is_always_kept():
    rows = decode_stages([ModelDrafter(model="t", length=3), COUPLED], range(20), vocab=5, limit=12)
    assert {row.steps for row in rows} == {3}


@pytest.mark.parametrize(
    "drafter",
    [
        ModelDrafter(model="d", length=2, paths=2),
        TopKTree(model="d", branching=(2, 1)),
        StochasticBeam(model="d", width=2, length=2),
    ],
)
def test_what_cannot_share_the_noise_is_refused_by_name(drafter):
    with pytest.raises(PenstockError, match=rf"verifier.model.0, field rule: coupled is for.*{drafter.kind}.0"):
        certify_stages([drafter, COUPLED])


# --- planted faults ------------------------------------------------------------------------------------------------
class Own(Coupled):
    """Planted: drafts are drawn on noise of their own."""

    foreseen: ClassVar[bool] = False


def test_drafts_on_their_own_noise_are_seen(monkeypatch):
    monkeypatch.setitem(RULES, "coupled", Own())
    assert not near(first_accepted([ONE, COUPLED]), agreement(T, D))


class OnePlaceLate(Growth):
    """Planted: each level guesses on the noise of the position after its own."""

    def _drawn(self, weights: Any, level: int, place: int, live: Any) -> Any:
        return super()._drawn(weights, level + 1, place, live)


def test_noise_of_another_position_is_seen(monkeypatch):
    monkeypatch.setattr("penstock.library.drafters.model.Growth", OnePlaceLate)
    assert not near(first_accepted([ONE, COUPLED]), agreement(T, D))


class ByCoins(KSeq):
    """Planted: drafts on the noise of the selections, taken for independent draws and tested by coins."""

    foreseen: ClassVar[bool] = True


def test_coins_for_drafts_that_saw_the_selections_are_seen(monkeypatch):
    monkeypatch.setitem(RULES, "coupled", ByCoins())
    certificate = certify_stages([CHAIN, COUPLED], limit=3)
    assert certificate.same_tokens is False
    assert certificate.against_text > 1e-3
    assert not certificate.holds and "NOT the reference's very tokens" in certificate.report()
