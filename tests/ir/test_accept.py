"""Acceptance rules, exactly, against the numbers of the method cards (SpecTr, RSD); and what planted faults do to the law."""

import pytest
import torch
from planted_rules import Fresh, Multiround, ShrinkFirst, Swapped, Unclamped, Unnormalised, Unshrunk
from rule_oracle import best, distance, distinct, iid, near, settle

from penstock.ir.ops.accept import deflated_ratio, kseq_plan
from penstock.ir.rules import AUTO, RULES, KSeq, Match, Recursive

T = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
D = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
UNIFORM = torch.full((4,), 0.25, dtype=torch.float64)
HALF, SURE = torch.tensor([[0.5, 0.5], [1.0, 0.0]], dtype=torch.float64)


# --- what the rules are --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_output_is_the_target(seed, k):
    t, d = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).mul(2).softmax(-1)
    for rule, children in ((KSeq(), iid(d, k)), (Multiround(), iid(d, k)), (Recursive(), distinct(d, k))):
        law, hit = settle(rule, t, d, children)
        assert near(law, t.tolist(), 1e-9), rule
        assert hit <= best(t, d, k, replace=rule != Recursive()) + 1e-12


def test_one_child_is_speculative_sampling():
    law, hit = settle(KSeq(), T, D, iid(D, 1))
    assert near(hit, 0.5, 1e-9)
    assert near(law, T.tolist(), 1e-9)


def test_one_child_has_the_base_rules_coin_and_residual_bit_for_bit():
    state = KSeq().begin(T[None], D[None], torch.tensor([1]))
    assert state[2].item() == 1.0
    assert torch.equal(KSeq().rest(state)[0], (T - D).clamp(min=0))
    for x in range(4):
        assert KSeq().accept(state, torch.tensor([x])).item() == min(1.0, float(T[x] / D[x]))


@pytest.mark.parametrize("k, rho, beta, accepted", [(2, 1.584429, 0.415571, 0.658443), (3, 2.100031, None, 0.710003)])
def test_kseq_numbers(k, rho, beta, accepted):
    found, owed = kseq_plan(T[None], D[None], torch.tensor([k]))
    law, hit = settle(KSeq(), T, D, iid(D, k))
    assert near(found[0], rho)
    assert near(hit, accepted)
    assert near(law, T.tolist(), 1e-9)
    if beta:
        assert near(torch.minimum(D, T / found[0]).sum(), beta)
        assert near(owed[0], [0.341557, 0, 0, 0])


def test_rules_in_order_of_what_they_accept():
    matched = sum(w * float(T[list(set(xs))].sum()) for xs, w in zip(*iid(D, 2), strict=True))
    assert near(matched, 0.3115, 1e-9)
    assert near(settle(Multiround(), T, D, iid(D, 2))[1], 0.65, 1e-9)
    assert near(settle(Multiround(), T, D, iid(D, 3))[1], 0.685, 5e-4)
    assert near(best(T, D, 2), 0.69, 1e-9)
    assert near(settle(Recursive(), T, D, distinct(D, 2))[1], 0.679762)
    assert near(settle(Recursive(), T, D, distinct(D, 3))[1], 0.780905)
    assert near(best(T, D, 2, replace=False), 0.734524)
    assert near(best(T, D, 3, replace=False), 0.948810)
    even = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    assert near(settle(KSeq(), even, UNIFORM, iid(UNIFORM, 2))[1], 0.920493)
    assert near(best(even, UNIFORM, 2), 1.0, 1e-9)


def test_kseq_is_within_its_bound_of_the_best():
    draw = torch.Generator().manual_seed(0)
    for k in (2, 3):
        for _ in range(10):
            t, d = torch.randn(2, 4, dtype=torch.float64, generator=draw).mul(2).softmax(-1)
            hit, most = settle(KSeq(), t, d, iid(d, k))[1], best(t, d, k)
            assert (1 - (1 - 1 / k) ** k) * most - 1e-9 <= hit <= most + 1e-9


def test_children_without_replacement_cover_what_iid_ones_do_not():
    assert near(settle(KSeq(), SURE, HALF, iid(HALF, 2))[1], 0.75, 1e-9)
    assert near(settle(Multiround(), SURE, HALF, iid(HALF, 2))[1], 0.75, 1e-9)
    assert near(settle(Recursive(), SURE, HALF, distinct(HALF, 2))[1], 1.0, 1e-9)


# --- edges ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rule, children", [(KSeq(), iid), (Recursive(), distinct)])
def test_a_draft_like_the_target_is_always_accepted(rule, children):
    for k in (1, 2):
        law, hit = settle(rule, T, T, children(T, k))
        assert near(hit, 1.0, 1e-12)
        assert near(law, T.tolist(), 1e-12)
    state = rule.begin(T[None], T[None], torch.tensor([1]))
    assert not any(x.isnan().any() for x in (*state, rule.rest(state)))


@pytest.mark.parametrize("rule, children", [(KSeq(), iid), (Recursive(), distinct)])
def test_disjoint_supports_accept_nothing_and_owe_the_target(rule, children):
    t, d = torch.tensor([[0.6, 0.4, 0, 0], [0, 0, 0.5, 0.5]], dtype=torch.float64)
    for k in (1, 2):
        law, hit = settle(rule, t, d, children(d, k))
        assert hit == 0
        assert torch.equal(law, t)


def test_after_all_of_the_drafts_support_is_refused_no_tried_token_is_left():
    d = torch.tensor([0.5, 0.5, 0, 0], dtype=torch.float64)
    t = torch.tensor([0.2, 0.1, 0.4, 0.3], dtype=torch.float64)
    law, hit = settle(Recursive(), t, d, distinct(d, 2))
    assert near(law, t.tolist(), 1e-12)
    assert near(hit, 0.3, 1e-12)
    state = Recursive().begin(t[None], d[None], torch.tensor([2]))
    for x in (1, 0):
        state = Recursive().reject(state, torch.tensor([x]), torch.tensor([True]))
    assert near(Recursive().rest(state)[0], [0, 0, 4 / 7, 3 / 7], 1e-12)


def test_an_impossible_token_is_never_accepted():
    t = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    for d in ([[0.5, 0.5]], [[0.0, 1.0]]):
        p = deflated_ratio(t, torch.tensor(d, dtype=torch.float64), torch.ones(1, dtype=torch.float64), torch.tensor([0]))
        assert p.item() == 0


def test_rows_of_different_counts_are_planned_each_for_itself():
    found, owed = kseq_plan(T.expand(4, -1), D.expand(4, -1), torch.tensor([0, 1, 2, 3]))
    assert near(found[1:], [1, 1.584429, 2.100031])
    assert torch.equal(owed[0], T)
    for k in (1, 2, 3):
        alone = kseq_plan(T[None], D[None], torch.tensor([k]))
        assert near(alone[1][0], owed[k].tolist(), 1e-12)


def test_float32_agrees():
    for rule, children in ((KSeq(), iid(D, 2)), (Recursive(), distinct(D, 2))):
        assert near(settle(rule, T.float(), D.float(), children)[0].double(), T.tolist(), 1e-6)


def test_every_law_has_a_rule_that_is_exact_for_it():
    assert all(law in RULES[name].laws for law, name in AUTO.items())
    assert RULES["match"].laws == frozenset(AUTO)


# --- planted faults: what each does to the law ---------------------------------------------------------------------
def test_drawing_the_target_afresh_is_seen():
    law, _ = settle(Fresh(), T, D, iid(D, 1))
    assert near(law, [0.35, 0.35, 0.225, 0.075], 1e-9)
    assert near(distance(law, T), 0.15, 1e-9)


def test_rho_of_one_is_seen():
    law, _ = settle(Unclamped(), T, D, iid(D, 2))
    assert near(law, [0.4, 0.3, 0.225, 0.075], 1e-9)
    assert near(distance(law, T), 0.10, 1e-9)


def test_collapsed_duplicates_are_seen():
    law, _ = settle(KSeq(), T, D, iid(D, 2), collapse=True)
    assert near(law, [0.470, 0.337, 0.147, 0.046], 5e-4)
    assert near(distance(law, T), 0.037, 5e-4)
    assert near(distance(settle(Multiround(), T, D, iid(D, 2), collapse=True)[0], T), 0.037, 5e-4)


def test_swapped_distributions_are_seen():
    assert distance(settle(Swapped(), T, D, iid(D, 1))[0], T) > 0.1


def test_deterministic_children_with_a_softmax_for_a_draft_are_seen():
    law, _ = settle(Multiround(), T, D, ([(3, 2)], [1.0]))
    assert near(law, [0.875, 0, 0, 0.125], 1e-9)


def test_matching_against_more_than_one_draw_is_seen():
    """Card, test 7: a fresh draw after a miss; and a draw per candidate row."""
    hit = T * torch.tensor([1, 1, 0, 0])
    assert near(hit + (1 - hit.sum()) * T, [0.60, 0.36, 0.03, 0.01], 1e-9)
    first, second = float(T[0]), float((1 - T[0]) * T[1])  # rows {0} and {1}, each with a draw of its own
    law = (1 - first - second) * T + torch.tensor([first, second, 0, 0], dtype=T.dtype)
    assert near(distance(law, T), 0.175, 1e-9)
    assert Match().tests_children is False  # the walker draws once and looks the token up


@pytest.mark.parametrize("wrong", [Unshrunk(), Unnormalised(), ShrinkFirst()])
def test_a_wrong_shrinking_of_the_draft_is_seen(wrong):
    assert distance(settle(wrong, T, D, distinct(D, 2))[0], T) > 5e-3


def test_children_that_exhaust_the_drafts_support_are_accepted_for_sure():
    """Acceptance does not tell whether the draft was shrunk, because what is owed ends as one token; the law does."""
    law, hit = settle(Recursive(), T, D, distinct(D, 4))
    assert near(hit, 1.0, 1e-12)
    assert near(law, T.tolist(), 1e-12)
    law, hit = settle(Unshrunk(), T, D, distinct(D, 4))
    assert near(hit, 1.0, 1e-12)
    assert distance(law, T) > 1e-2


@pytest.mark.parametrize("order", ["reversed", "by id"])
def test_siblings_out_of_order_are_seen(order):
    children, weights = distinct(D, 2)
    moved = [xs[::-1] if order == "reversed" else tuple(sorted(xs)) for xs in children]
    assert distance(settle(Recursive(), T, D, (moved, weights))[0], T) > 1e-2
