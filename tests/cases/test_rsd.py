"""Case: recursive speculative decoding, RSD-S: sequences drawn without replacement, parents by row (arXiv 2402.14160)."""

from collections import Counter
from typing import Any

import pytest
import torch
from chance import excess
from one_step import committed, mean
from planted_rules import ShrinkFirst, Unnormalised, Unshrunk

from penstock.backends.enumerate.certify import law_of
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.rules import RULES, KSeq
from penstock.library import ModelDrafter, ModelVerifier, Repetition, StochasticBeam, Temperature, ToyGrammar
from penstock.library.transforms.top_k import TopK
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages, small_world

TARGET = ModelVerifier(model="t")
BEAM = (StochasticBeam(model="d", width=2, length=2), TARGET)
SHAPED = (Repetition(alpha=1.4), ToyGrammar.over(3), Temperature(value=0.7))
T, D = [0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("shape", [(), SHAPED, (Temperature(value=0),)])
@pytest.mark.parametrize(("eos", "batch"), [((), 1), ((2,), 3)])
def test_exact_over_two_steps_and_more(shape, eos, batch):
    certificate = certify_stages([*BEAM, *shape], limit=4, eos=eos, batch=batch)
    assert certificate.holds, certificate.report()
    assert shape or not certificate.not_exercised


@pytest.mark.parametrize(
    ("drafter", "small"),
    [
        (StochasticBeam(model="d", width=3, length=2), {"limit": 3}),
        (StochasticBeam(model="d", width=3, length=1), {"vocab": 4, "limit": 3}),
        (StochasticBeam(model="d", width=2, length=3), {"vocab": 2, "limit": 5}),
        (StochasticBeam(model="d", width=2, length=2, mirror=False), {"limit": 3, "batch": 2}),
    ],
)
def test_exact_for_other_shapes(drafter, small):
    certificate = certify_stages([drafter, TARGET, Temperature(value=0.8)], **small)
    assert certificate.holds, certificate.report()


def test_exact_where_the_draft_has_less_support_than_the_beam_has_places():
    certificate = certify_stages([StochasticBeam(model="d", width=3, length=2), TARGET, TopK(k=2)], limit=4, batch=2)
    assert certificate.holds, certificate.report()


def test_exact_where_nothing_may_follow_a_token():
    """A grammar that ends with the end of text: drafts reach it, and a node that nothing can follow stays a leaf."""
    ends = ToyGrammar(table=((0, 0, 1), (-1, -1, -1)))
    certificate = certify_stages([*BEAM, ends], limit=4, eos=(2,), batch=2)
    assert certificate.holds, certificate.report()
    always = ToyGrammar(table=((-1, -1, 1), (-1, -1, -1)))
    assert certify_stages([*BEAM, always], limit=4, eos=(2,)).found.law == {(2,): pytest.approx(1)}


@pytest.mark.parametrize(("width", "accepted"), [(1, 0.5), (2, 0.679762), (3, 0.780905), (4, 1.0), (7, 1.0)])
def test_a_step_accepts_as_often_as_the_card_says(width, accepted):
    law = committed([StochasticBeam(model="d", width=width, length=1), TARGET], T, D)
    assert law[2] == pytest.approx(accepted, abs=1e-6)


def test_as_many_children_as_tokens_are_always_accepted():
    law = committed([StochasticBeam(model="d", width=2, length=1), TARGET], [1 - 1e-9, 1e-9], [0.5, 0.5])
    assert law[2] == pytest.approx(1, abs=1e-6)


def test_a_self_draft_is_accepted_to_its_first_leaf():
    assert committed([StochasticBeam(model="d", width=2, length=2), TARGET], D, D)[3] == pytest.approx(1, abs=1e-12)


def test_at_an_equal_number_of_nodes_it_commits_more_than_iid_paths():
    beam = mean(committed([StochasticBeam(model="d", width=2, length=2), TARGET], T, D))
    paths = mean(committed([ModelDrafter(model="d", length=2, paths=2), TARGET], T, D))
    chain = mean(committed([ModelDrafter(model="d", length=4), TARGET], T, D))
    assert beam > paths > 1.03 * chain


@pytest.mark.parametrize(
    "shape", [(), (Repetition(alpha=1.4), ToyGrammar.over(5), Temperature(value=0.7)), (Temperature(value=0),)]
)
def test_lowered_it_decodes_what_its_meaning_decodes(shape):
    stages = (StochasticBeam(model="d", width=3, length=3), TARGET, *shape)
    for keys in (range(6), [5]):
        lowered, meant = (decode_stages(stages, keys, lowered=x, vocab=5, eos=(4,), limit=14) for x in (True, False))
        assert lowered == meant


def test_a_row_decodes_alone_as_it_decodes_in_a_batch():
    """Card, test 8: trees differ from row to row."""
    stages = (StochasticBeam(model="d", width=3, length=3), TARGET)
    batch = decode_stages(stages, range(4), vocab=5, limit=14)
    for b, prompt in enumerate(([1], [2, 0, 1], [0, 2], [1])):
        alone = decode_stages(stages, [b], vocab=5, limit=14, prompts={"t": [prompt], "draft:d": [prompt]})
        assert alone == [batch[b]]


def test_draws_follow_the_law():
    """Card, test 3: all 64 texts of three tokens of a 4-state chain, three sequences of three tokens."""
    stages = (StochasticBeam(model="d", width=3, length=3), TARGET)
    one = {"vocab": 4, "limit": 3, "prompts": {"t": [[1]], "draft:d": [[1]]}}
    texts = Counter(tuple(row.tokens) for row in decode_stages(stages, range(6000), lowered=False, **one))
    truth = law_of(elaborate([TARGET]), small_world(stages, **one)).law
    assert excess(texts, truth) < 3.7


@pytest.mark.parametrize("rule", ["kseq"])
def test_a_rule_for_iid_drafts_is_refused(rule):
    with pytest.raises(PenstockError, match="drafts are without_replacement"):
        elaborate([BEAM[0], ModelVerifier(model="t", rule=rule)])
    assert elaborate(BEAM).rule == "recursive"


# --- planted faults ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wrong", [Unshrunk, Unnormalised, ShrinkFirst, KSeq])
def test_a_wrong_rule_is_seen(wrong, monkeypatch):
    monkeypatch.setitem(RULES, "recursive", wrong())
    assert certify_stages(BEAM).against_text > 1e-3


class Reordered(StochasticBeam):
    """Planted: siblings are tried in another order than they were drawn in."""

    order: str = "reversed"

    def propose(self, step: Any, stage: str) -> Any:
        draft = super().propose(step, stage)
        order = {"drawn": draft.rank, "reversed": -draft.rank, "by token": draft.token}[self.order]
        draft.rank = ranks(draft.parent_site, draft.valid, order)
        return draft


@op()
def ranks(parent: torch.Tensor, valid: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """How many valid siblings come before, in this order."""
    siblings = (parent[:, :, None] == parent[:, None]) & valid[:, None]
    return (siblings & (order[:, None] < order[:, :, None])).sum(2)


class Replaced(StochasticBeam):
    """Planted: independent draws, declared as draws without replacement."""

    def propose(self, step: Any, stage: str) -> Any:
        draft = ModelDrafter(model=self.model, length=self.length, paths=self.width).propose(step, stage)
        draft.law = "without_replacement"
        return draft


class Whole(StochasticBeam):
    """Planted: the distribution handed on is the model's, not the truncated one that was drawn from."""

    def propose(self, step: Any, stage: str) -> Any:
        draft = super().propose(step, stage)
        draft.q = flattened(draft.q)
        return draft


@op()
def flattened(q: torch.Tensor) -> torch.Tensor:
    """Nearer to uniform."""
    return (q + 0.3) / (q + 0.3).sum(-1, keepdim=True)


class Pruned(StochasticBeam):
    """Planted: a node is taken out for its own token."""

    def propose(self, step: Any, stage: str) -> Any:
        draft = super().propose(step, stage)
        draft.valid = but(draft.valid, draft.token)
        return draft


@op()
def but(valid: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """Without token 0."""
    return valid & (token != 0)


@pytest.mark.parametrize("wrong", [Replaced, Whole, Pruned])
def test_a_wrong_draft_is_seen(wrong):
    assert certify_stages([wrong(model="d", width=2, length=2), TARGET]).against_text > 1e-3


@pytest.mark.parametrize("order", ["drawn", "reversed", "by token"])
def test_siblings_out_of_order_are_seen(order):
    certificate = certify_stages([Reordered(model="d", width=2, length=2, order=order), TARGET])
    assert certificate.holds == (order == "drawn")
    assert (certificate.against_text > 1e-3) == (order != "drawn")
