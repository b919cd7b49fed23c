"""Case: K-SEQ over several iid paths, duplicates kept (SpecTr, arXiv 2310.15141)."""

from collections import Counter
from typing import Any

import pytest
import torch
from chance import excess
from one_step import committed
from planted_rules import Fresh, Multiround, Unclamped

from penstock.backends.enumerate.certify import law_of
from penstock.ir.op import op
from penstock.ir.rules import RULES, KSeq
from penstock.library import ModelDrafter, ModelVerifier, Repetition, Temperature, ToyGrammar
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages, small_world

TARGET = ModelVerifier(model="t")
PATHS = (ModelDrafter(model="d", length=2, paths=2), TARGET)
SHAPED = (Repetition(alpha=1.4), ToyGrammar.over(3), Temperature(value=0.7))
T, D = [0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]
EVEN = [0.25] * 4


@pytest.mark.parametrize("shape", [(), SHAPED, (Temperature(value=0),)])
@pytest.mark.parametrize(("eos", "batch"), [((), 1), ((2,), 3)])
def test_exact_over_two_steps_and_more(shape, eos, batch):
    certificate = certify_stages([*PATHS, *shape], limit=4, eos=eos, batch=batch)
    assert certificate.holds, certificate.report()
    assert shape or not certificate.not_exercised


def test_exact_with_three_paths():
    certificate = certify_stages([ModelDrafter(model="d", length=1, paths=3), TARGET], limit=3)
    assert certificate.holds, certificate.report()


@pytest.mark.parametrize(
    ("target", "draft", "paths", "accepted"),
    [
        (T, D, 1, 0.5),
        (T, D, 2, 0.658443),
        (T, D, 3, 0.710003),
        ([0.4, 0.3, 0.2, 0.1], EVEN, 2, 0.920493),
        ([0.999999, 1e-6], [0.5] * 2, 2, 0.75),
    ],
)
def test_a_step_accepts_as_often_as_the_card_says(target, draft, paths, accepted):
    """The duplicates count: with the last pair, sampling without replacement would accept always."""
    law = committed([ModelDrafter(model="d", length=1, paths=paths), TARGET], target, draft)
    assert law[2] == pytest.approx(accepted, abs=2e-6)


def test_a_path_that_left_the_accepted_prefix_is_not_tried_again():
    """Below the first level only the paths through the accepted token are children: one or two of them, rho accordingly."""
    law = committed([ModelDrafter(model="d", length=2, paths=2), TARGET], T, D)
    assert 0.5 * law[2] < law[3] < 0.710003 * (law[2] + law[3])
    assert sum(law.values()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("shape", [(), (Repetition(alpha=1.4), Temperature(value=0.7)), (Temperature(value=0),)])
def test_lowered_it_decodes_what_its_meaning_decodes(shape):
    stages = (ModelDrafter(model="d", length=3, paths=3), TARGET, *shape)
    for keys in (range(6), [5]):
        lowered, meant = (decode_stages(stages, keys, lowered=x, vocab=4, eos=(3,), limit=14) for x in (True, False))
        assert lowered == meant
    assert decode_stages(stages, [0], vocab=4, limit=14)[0] == decode_stages(stages, range(3), vocab=4, limit=14)[0]


def test_draws_follow_the_law():
    """Card, test 8: all 64 texts of three tokens of a 4-state chain, three paths of three tokens."""
    stages = (ModelDrafter(model="d", length=3, paths=3), TARGET)
    one = {"vocab": 4, "limit": 3, "prompts": {"t": [[1]], "draft:d": [[1]]}}
    texts = Counter(tuple(row.tokens) for row in decode_stages(stages, range(6000), lowered=False, **one))
    truth = law_of(elaborate([TARGET]), small_world(stages, **one)).law
    assert excess(texts, truth) < 3.7


# --- planted faults ------------------------------------------------------------------------------------------------
class ParentsCount(KSeq):
    """Planted: rho is planned for all paths, also where only one of them goes on."""

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return super().begin(t, d, twice(count))


@op()
def twice(count: torch.Tensor) -> torch.Tensor:
    """Two, wherever there is a child."""
    return count.clamp(max=1) * 2


@pytest.mark.parametrize("wrong", [Fresh, Unclamped, ParentsCount])
def test_a_wrong_rule_is_seen(wrong, monkeypatch):
    monkeypatch.setitem(RULES, "kseq", wrong())
    assert certify_stages(PATHS).against_text > 1e-3


class Collapsed(ModelDrafter):
    """Planted: a token that two paths drew is tried once, as in a set."""

    def propose(self, step: Any, stage: str) -> Any:
        draft = super().propose(step, stage)
        draft.valid = firsts(draft.site)
        return draft


@op()
def firsts(site: torch.Tensor) -> torch.Tensor:
    """Nodes that are not duplicates."""
    return site == torch.arange(1, site.shape[1] + 1)


@pytest.mark.parametrize("rule", [KSeq(), Multiround()])
def test_collapsed_duplicates_are_seen(rule, monkeypatch):
    monkeypatch.setitem(RULES, "kseq", rule)
    assert certify_stages(PATHS).holds
    assert certify_stages([Collapsed(model="d", length=2, paths=2), TARGET]).against_text > 1e-3


class OwnRows(ModelDrafter):
    """Planted: siblings hold the distributions of different sites."""

    def propose(self, step: Any, stage: str) -> Any:
        draft = super().propose(step, stage)
        draft.q = shuffled(draft.q)
        return draft


@op()
def shuffled(q: torch.Tensor) -> torch.Tensor:
    """Every node holds another's distribution."""
    return q.roll(1, 1)


def test_another_sites_distribution_is_seen():
    assert certify_stages([OwnRows(model="d", length=2, paths=2), TARGET]).against_text > 1e-3
