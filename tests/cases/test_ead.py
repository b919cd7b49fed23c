"""Case: switching models inside a drafted path (library/gates/ead.py), proven, and the faults that its card warns of."""

from typing import Any

import ead_oracle
import pytest
import torch
from ead_oracle import Controller
from torch import Tensor

from penstock.backends.enumerate.certify import law_of
from penstock.backends.enumerate.law import total_variation
from penstock.dsl.stage import Stage
from penstock.ir.ops import forward
from penstock.library import EntropyAdaptive, EntropyGate, ModelDrafter, Repetition, Temperature, ToyGrammar
from penstock.library.gates import ead
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages, small_world

RULE = dict(tau=1.0, window=2, d_min=1)
SWITCHED = EntropyAdaptive(models=("s", "l"), **RULE)
SLOW = EntropyAdaptive(models=("s", "l"), tau=1.0, window=3, d_min=2, first="large")
CHAIN, TREE = ModelDrafter(model="d", length=2), ModelDrafter(model="d", length=2, paths=2)
SHAPED = (Temperature(value=0.8), Repetition(alpha=1.3), ToyGrammar.over(3))


@pytest.mark.parametrize(
    ("stages", "small"),
    [
        ((SWITCHED,), dict(batch=2)),
        ((CHAIN, SWITCHED), dict(batch=2, layers={"s": 2})),
        ((TREE, SWITCHED), dict()),
        ((ModelDrafter(model="s", length=2), SLOW), dict(batch=3)),  # the large model's turns drafted by the small one
        ((TREE, SWITCHED, *SHAPED), dict(batch=2, eos=(2,))),
        ((TREE, SLOW.model_copy(update={"reset_on_switch": True}), *SHAPED), dict(batch=2)),
    ],
)
def test_exact_with_any_draft(stages, small):
    certificate = certify_stages(stages, limit=4, **small)
    assert certificate.holds and not certificate.not_exercised, certificate.report()


def law_and_truth(stages: tuple[Stage, ...], temperature: float = 1.0, **rule: Any) -> tuple[Any, Any]:
    """The law as enumerated and as the card's own words give it, with its expected switches."""
    world = small_world(stages, limit=4)
    fields = dict(RULE, **rule)
    controller = Controller(fields["window"], fields["tau"], fields["d_min"])
    models = [world.models["s"], world.models["l"]]
    truth = ead_oracle.law(models, world.prompts["s"][0], controller, 4, temperature)
    return law_of(elaborate(stages), world).law, truth


def test_exact_against_the_rule_in_plain_python():
    for rule in ({}, dict(d_min=2), dict(window=3, tau=1.2)):
        found, (truth, (up, down)) = law_and_truth((CHAIN, EntropyAdaptive(models=("s", "l"), **RULE | rule)), **rule)
        assert total_variation(found, truth) < 1e-12
        assert up > 0.1 and down > (0.02 if rule else 0.1)  # both switches are there to be got wrong


class Planted(EntropyGate):
    """A gate with one of the card's mistakes."""

    kind = "tests.planted_gate"


class NoCut(Planted):
    """What is drafted below a switch is kept, although the wrong model has scored it."""

    kind = "tests.no_cut"

    def cut(self, state: Any, raw: Tensor) -> Tensor:
        return torch.zeros_like(state["active"], dtype=torch.bool)


class Nats(Planted):
    """Entropy in nats."""

    kind = "tests.nats"

    def after(self, state: Any, entropy: Tensor) -> Any:
        return super().after(state, entropy * 0.6931)


class DwellReset(Planted):
    """The dwell starts anew also where the rule keeps the model."""

    kind = "tests.dwell_reset"

    def after(self, state: Any, entropy: Tensor) -> Any:
        new = super().after(state, entropy)
        return new | dict(dwell=torch.where(state["dwell"] + 1 >= self.d_min, 0, new["dwell"]))


class TieIsLarge(Planted):
    """``>=`` for ``>``."""

    kind = "tests.tie_is_large"

    def after(self, state: Any, entropy: Tensor) -> Any:
        return EntropyGate.after(self.model_copy(update={"tau": self.tau - 1e-12}), state, entropy)


class WholeHistory(Planted):
    """The mean is over the window's width before there are as many entropies."""

    kind = "tests.whole_history"

    def after(self, state: Any, entropy: Tensor) -> Any:
        return super().after(state | dict(filled=torch.full_like(state["filled"], self.window)), entropy)


def faulty(gate: type[Planted], **rule: Any) -> Stage:
    """The composite with this gate in the place of its own."""

    class Faulty(EntropyAdaptive):
        def parts(self) -> tuple[Stage, ...]:
            scorer, right, acceptor = super().parts()
            wrong = gate(**{name: getattr(right, name) for name in EntropyGate.model_fields})
            return scorer.model_copy(update={"by": f"{gate.kind}.0"}), wrong, acceptor

    return Faulty(models=("s", "l"), **RULE | rule)


FAULTS = [
    (NoCut, {}),
    (Nats, {}),
    (DwellReset, dict(tau=1.2, window=1, d_min=2)),
    (WholeHistory, dict(window=3)),
    (Planted, {}),  # nothing is wrong with this one
]


@pytest.mark.parametrize(("gate", "rule"), FAULTS)
def test_planted_faults_change_the_law(gate, rule):
    found, (truth, _) = law_and_truth((CHAIN, faulty(gate, **rule)), **rule)
    assert (total_variation(found, truth) < 1e-12) if gate is Planted else (total_variation(found, truth) > 1e-3)


def test_entropy_after_temperature_changes_the_law(monkeypatch):
    stages, right = (CHAIN, SWITCHED, Temperature(value=0.6)), ead.entropy_bits
    found, (truth, _) = law_and_truth(stages, 0.6)
    assert total_variation(found, truth) < 1e-12
    monkeypatch.setattr(ead, "entropy_bits", lambda raw: right(raw / 0.6))
    found, (truth, _) = law_and_truth(stages, 0.6)
    assert total_variation(found, truth) > 1e-3


def test_a_tie_goes_to_the_small_model_and_a_planted_one_does_not():
    scripts = [[2.0, 2.0, 2.0], [5.0, -1.0, 2.0], [0.0, 4.0, 4.0, 0.0]]
    for gate, same in ((EntropyGate, True), (TieIsLarge, False)):
        stage, seen = gate(tau=2.0, window=2, d_min=1), []
        for script in scripts:
            state, who = stage.start([1], 3), [0]
            for entropy in script:
                state = stage.after(state, torch.tensor(entropy))
                who.append(int(state["active"]))
            seen.append(who)
        truth = [ead_oracle.actives(Controller(2, 2.0, 1), script) for script in scripts]
        assert (seen == truth) is same


@pytest.mark.parametrize("drafter", [(), (ModelDrafter(model="d", length=3),), (ModelDrafter(model="d", length=2, paths=2),)])
def test_lowered_decodes_what_the_meaning_does(drafter):
    stages = (
        *drafter,
        EntropyAdaptive(models=("s", "l"), tau=1.9, window=2, d_min=2),
        Repetition(alpha=1.2),
        Temperature(value=0.9),
    )
    for keys in ([5], [6], [1, 2, 3], [7, 8, 9]):
        small = dict(vocab=7, limit=24, eos=(3,))
        assert decode_stages(stages, keys, **small) == decode_stages(stages, keys, lowered=False, **small)


GREEDY = (EntropyAdaptive(models=("s", "l"), tau=1.8, window=2, d_min=1), Temperature(value=0))


def from_scratch(limit: int) -> list[list[int]]:
    """Greedy texts of GREEDY for the small world's prompts, recomputed at every token."""
    world = small_world(GREEDY, vocab=7, batch=3)
    models, rows = [world.models["s"], world.models["l"]], []
    for prompt in world.prompts["s"]:
        tokens, who = ead_oracle.greedy(models, prompt, Controller(2, 1.8, 1), limit)
        assert {(a, b) for a, b in zip(who, who[1:], strict=False)} == {(0, 0), (0, 1), (1, 0), (1, 1)}
        rows.append(tokens)
    return rows


def decoded(limit: int) -> list[list[int]]:
    rows = decode_stages(GREEDY, [1, 2, 3], lowered=False, vocab=7, limit=limit)
    return [row.tokens for row in rows]


def test_a_gap_that_is_not_caught_up_changes_tokens(monkeypatch):
    """Planted: an incoming model is fed its newest token only, at its right place, or at the place that its cache ends."""
    assert decoded(20) == from_scratch(20)
    due = forward.text_due

    def newest(view: Any, seq: Any, live: Tensor) -> Any:
        view.cached = torch.where(view.cached > 0, view.length(seq) - 1, view.cached)
        return due(view, seq, live)

    def drifted(view: Any, seq: Any, live: Tensor) -> Any:
        feed, short = due(view, seq, live), torch.where(live, view.length(seq) - view.cached, 0)
        feed.positions = (feed.positions - (short > 1)[:, None].long()).clamp(min=0)
        return feed

    for planted in (newest, drifted):
        monkeypatch.setattr(forward, "text_due", planted)
        assert decoded(20) != from_scratch(20)
