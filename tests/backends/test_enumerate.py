"""The prover itself: it must see what is wrong in caches, registers, noise and rules, and must not depend on how it runs."""

from typing import Any

import pytest
import torch

from penstock.backends.enumerate import law as enumerating
from penstock.backends.enumerate.certify import law_of, oracle_of
from penstock.backends.enumerate.law import total_variation
from penstock.backends.enumerate.scratch import WrongForward
from penstock.backends.enumerate.worlds import DrawnTwice, NoSupport
from penstock.backends.runtime.cache import SlotCache
from penstock.ir.ops.sequence import put
from penstock.library import ModelDrafter, ModelVerifier, Repetition, Temperature, ToyGrammar
from penstock.library.transforms import repetition
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, small_world

CHAIN = (ModelDrafter(model="d", length=2), ModelVerifier(model="t"))
TREE = (ModelDrafter(model="d", length=2, paths=2), ModelVerifier(model="t"))
SHAPED = (Repetition(alpha=1.5), Temperature(value=0.8))


@pytest.mark.parametrize("stages", [CHAIN, TREE, (*TREE, *SHAPED), (*CHAIN, ToyGrammar.over(3), *SHAPED)])
@pytest.mark.parametrize("eos", [(), (2,)])
def test_right_pipelines_are_exact(stages, eos):
    certificate = certify_stages(stages, eos=eos, limit=3, batch=2)
    assert certificate.holds, certificate.report()
    assert certificate.found.columns > 50


def test_the_law_does_not_depend_on_mates_or_on_merging(monkeypatch):
    stages = (*TREE, *SHAPED)
    laws = [law_of(elaborate(stages), small_world(stages, batch=b)).law for b in (1, 2, 3)]
    monkeypatch.setattr(enumerating, "merged", lambda state, weight, reads, group: (state, weight, reads))
    short = small_world(stages, limit=2)
    unmerged = law_of(elaborate(stages), short).law
    monkeypatch.undo()
    assert total_variation(unmerged, law_of(elaborate(stages), short).law) < 1e-14
    assert all(total_variation(laws[0], other) < 1e-14 for other in laws[1:])
    assert sum(laws[0].values()) == pytest.approx(1, abs=1e-12)


def test_the_oracle_knows_the_reference_without_running_it():
    stages = (ModelVerifier(model="t"), ToyGrammar.over(3), *SHAPED)
    small = small_world(stages, eos=(2,), limit=4)
    plan = elaborate(stages)
    assert total_variation(law_of(plan, small).law, oracle_of(plan, small)) < 1e-14


def test_a_cache_that_loses_a_slot_is_seen_in_the_forwards(monkeypatch):
    """A drafter's rotten cache changes no law, because acceptance corrects any draft: only the forwards show it."""
    move = SlotCache.move

    def losing(self: SlotCache, source: torch.Tensor, target: torch.Tensor) -> None:
        move(self, source, target)
        self.buffer[:, :, :, :, 1] = 0

    monkeypatch.setattr(SlotCache, "move", losing)
    with pytest.raises(WrongForward, match="from one from scratch"):
        certify_stages(CHAIN)


def test_a_move_to_the_wrong_slot_is_seen(monkeypatch):
    move = SlotCache.move
    monkeypatch.setattr(SlotCache, "move", lambda self, source, target: move(self, (source - 1).clamp(min=0), target))
    with pytest.raises(WrongForward):
        certify_stages(TREE, limit=4)


def test_a_register_that_never_steps_is_seen_by_the_text_oracle(monkeypatch):
    monkeypatch.setitem(put.__dict__, "meaning", lambda register, value, live: (register,))
    certificate = certify_stages((*CHAIN, *SHAPED))
    assert certificate.against_text > 1e-3
    assert not certificate.holds


def test_a_state_read_at_the_parent_is_seen(monkeypatch):
    """Planted: a child reads its parent's state, as if its own token had not been said."""
    monkeypatch.setattr(repetition.Repetition, "step", lambda self, state, token, raw: state)
    reference = certify_stages((*CHAIN, *SHAPED))
    assert reference.holds  # both sides are wrong alike ...
    monkeypatch.undo()
    right = law_of(elaborate((*CHAIN, *SHAPED)), small_world((*CHAIN, *SHAPED))).law
    monkeypatch.setattr(repetition.Repetition, "step", lambda self, state, token, raw: state)
    wrong = law_of(elaborate((*CHAIN, *SHAPED)), small_world((*CHAIN, *SHAPED))).law
    assert total_variation(right, wrong) > 1e-3  # ... and differ from what the automaton means


class SameAddress(ModelDrafter):
    """Planted: both levels of a chain draw at one address."""

    def propose(self, step: Any, stage: str) -> Any:
        class Forgetful(list):
            def __len__(self) -> int:
                return 0 if list.__len__(self) < 2 else 2

        from penstock.ir.draft import Growth

        growth = Growth(step, self.seat, stage)
        growth.levels = Forgetful()
        for level in range(2):
            if level:
                growth.feed()
            growth.draw(growth.distribution())
        return growth.finish("iid", width=1)


def test_an_address_read_twice_in_one_world_is_refused():
    with pytest.raises(DrawnTwice, match="read its draft noise twice"):
        certify_stages((SameAddress(model="d", length=2), ModelVerifier(model="t")))


def test_a_row_without_support_is_refused():
    with pytest.raises(NoSupport, match="row 0 has no support"):
        certify_stages((ModelVerifier(model="t"), ToyGrammar(table=((-1, -1, -1),))))


def test_what_no_world_reached_is_reported():
    same = (ModelDrafter(model="t", length=2), ModelVerifier(model="t"))  # its drafts are never refused
    certificate = certify_stages(same)
    assert certificate.holds
    assert "acceptor.walk.0 accept(0,0) some but not all" in certificate.not_exercised
    assert not certify_stages(CHAIN).not_exercised
