"""Case: a tree of a draft model's likeliest tokens, by sample-and-match (SpecTr card, G): exact for any draft whatever."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from one_step import committed

from penstock.ir.draft import Growth, repeated
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.ops.logits import top_ids
from penstock.ir.rules import RULES, Match
from penstock.library import ModelDrafter, ModelVerifier, Repetition, StochasticBeam, Temperature, TopKTree, ToyGrammar
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages

TARGET, MATCH = ModelVerifier(model="t"), ModelVerifier(model="t", rule="match")
TREE = TopKTree(model="d", branching=(2, 2))
SHAPED = (Repetition(alpha=1.4), ToyGrammar.over(3), Temperature(value=0.7))
T, D = [0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("shape", [(), SHAPED, (Temperature(value=0),)])
@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize(("eos", "batch"), [((), 1), ((2,), 3)])
def test_exact_over_two_steps_and_more(shape, mirror, eos, batch):
    certificate = certify_stages([TREE.model_copy(update={"mirror": mirror}), TARGET, *shape], limit=6, eos=eos, batch=batch)
    assert certificate.holds, certificate.report()
    assert shape or not certificate.not_exercised


@pytest.mark.parametrize("drafter", [ModelDrafter(model="d", length=2, paths=2), StochasticBeam(model="d", width=2, length=2)])
def test_exact_for_drafts_of_other_laws(drafter):
    certificate = certify_stages([drafter, MATCH, Temperature(value=0.7)], limit=3)
    assert certificate.holds, certificate.report()


def test_a_step_accepts_what_the_target_gives_the_children():
    """Card, test 3: two iid children of D are matched .3115 of the time; its two likeliest, t(3) + t(2) = .2."""
    assert committed([ModelDrafter(model="d", length=1, paths=2), MATCH], T, D)[2] == pytest.approx(0.3115, abs=1e-12)
    assert committed([TopKTree(model="d", branching=(2,)), TARGET], T, D)[2] == pytest.approx(0.2, abs=1e-12)
    law = committed([TopKTree(model="d", branching=(2, 1)), TARGET], T, D)
    assert law[3] == pytest.approx(0.2 * 0.05, abs=1e-12)


DRAFTERS = [  # their model comes after the target in the alphabet, so that the target's table is the one it has alone
    (TopKTree(model="u", branching=(3, 2, 1)), TARGET),
    (TopKTree(model="u", branching=(1, 1, 1, 1)), TARGET),
    (ModelDrafter(model="u", length=2, paths=3), MATCH),
    (StochasticBeam(model="u", width=3, length=2), MATCH),
]


@pytest.mark.parametrize("shape", [(), (Repetition(alpha=1.4), Temperature(value=0.7)), (Temperature(value=0),)])
def test_no_drafter_changes_a_token(shape):
    """Selection noise is addressed by position alone: with any draft, the very tokens of decoding without one."""
    alone = [row.tokens for row in decode_stages([TARGET, *shape], range(6), vocab=5, eos=(4,), limit=12)]
    for stages in DRAFTERS:
        for lowered in (True, False):
            rows = decode_stages([*stages, *shape], range(6), lowered=lowered, vocab=5, eos=(4,), limit=12)
            assert [row.tokens for row in rows] == alone
            assert sum(row.steps for row in rows) <= sum(map(len, alone))


@pytest.mark.parametrize("shape", [(), (Repetition(alpha=1.4), Temperature(value=0.7)), (Temperature(value=0),)])
def test_lowered_it_decodes_what_its_meaning_decodes(shape):
    for keys in (range(6), [5]):
        lowered, meant = (decode_stages([*DRAFTERS[0], *shape], keys, lowered=x, vocab=5, limit=14) for x in (True, False))
        assert lowered == meant


def test_at_temperature_zero_the_tree_still_has_every_branch():
    """A sampled tree is one chain there, because its distribution is one-hot; of likely tokens there are as many as asked for."""
    logits = torch.tensor([[[1.0, 3.0, 2.0, 3.0]]])
    cold = torch.full_like(logits, -torch.inf).index_fill(2, torch.tensor(1), 0.0)
    assert top_ids(logits, cold, 3).tolist() == [[1, 3, 2]]
    assert top_ids(logits, None, 4).tolist() == [[1, 3, 2, 0]]  # ties: lowest id first
    masked = torch.tensor([[[-torch.inf, 3.0, 2.0, -torch.inf]]])
    assert top_ids(logits, masked, 3).tolist() == [[1, 2, 3]]
    steps = {}
    for name, drafter in (("tree", TopKTree(model="d", branching=(3, 2))), ("paths", ModelDrafter(model="d", length=2, paths=3))):
        steps[name] = sum(
            row.steps for row in decode_stages([drafter, TARGET, Temperature(value=0)], range(3), vocab=5, limit=30)
        )
    assert steps["tree"] < steps["paths"]


def test_room_counts_the_nodes_of_all_levels():
    assert TopKTree(model="d", branching=(3, 2, 1)).room == 3 + 6 + 6
    assert TopKTree(model="d").small(3).branching == (2, 2)


def test_a_rule_that_needs_a_law_is_refused():
    for rule in ("kseq", "recursive"):
        with pytest.raises(PenstockError, match="drafts are arbitrary"):
            elaborate([TREE, ModelVerifier(model="t", rule=rule)])


# --- planted faults ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class FreshOnMiss(Match):
    """Planted: a draw that no child matches is thrown away, and another made."""

    tests_children: bool = True

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return t, nothing(t)

    def accept(self, state: Any, token: Any) -> Any:
        return share(*state, token)

    def reject(self, state: Any, token: Any, where: Any) -> Any:
        return state[0], with_token(state[1], token, where)

    def rest(self, state: Any) -> Any:
        return state[0]


@op()
def nothing(t: torch.Tensor) -> torch.Tensor:
    """No token was tried."""
    return torch.zeros_like(t, dtype=torch.bool)


@op()
def share(t: torch.Tensor, tried: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """The probability that the draw is this child, given that it is none of those before."""
    return t.gather(1, token[:, None])[:, 0] / t.masked_fill(tried, 0).sum(1)


@op()
def with_token(tried: torch.Tensor, token: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """One more token was tried."""
    return tried | (torch.arange(tried.shape[1]) == token[:, None]) & where[:, None]


class Unmatched(FreshOnMiss):
    """Right, by coins: what no child matched is drawn from the rest."""

    def rest(self, state: Any) -> Any:
        return outside(*state)


@op()
def outside(t: torch.Tensor, tried: torch.Tensor) -> torch.Tensor:
    """The target without the tokens that were tried; the target where that is nothing."""
    left = t.masked_fill(tried, 0)
    return torch.where(left.sum(1, keepdim=True) > 1e-13, left, t)


class WithQ(TopKTree):
    """Planted: the likeliest tokens, declared as draws from the draft model's softmax."""

    law = "iid"

    def propose(self, step: Any, stage: str) -> Any:
        growth = Growth(step, self.seat, stage)
        for level, each in enumerate(self.branching):
            if level:
                growth.feed()
            growth.add(top_ids(growth.logits, None, each), repeated(growth.distribution(), each), each)
        return growth.finish("iid", width=max(self.branching))


def test_a_fresh_draw_after_a_miss_is_seen(monkeypatch):
    for rule, exact in ((Unmatched(), True), (FreshOnMiss(), False)):
        monkeypatch.setitem(RULES, "kseq", rule)
        certificate = certify_stages([WithQ(model="d", branching=(2, 1)), TARGET])
        assert certificate.holds == exact
        assert (certificate.against_text > 1e-3) != exact


def test_likely_tokens_taken_for_draws_are_seen():
    assert certify_stages([WithQ(model="d", branching=(2, 1)), TARGET]).against_text > 1e-3
