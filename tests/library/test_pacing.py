"""What drafts are worth: expected tokens, acceptance, cost and choice against closed forms and brute force."""

from itertools import product

import numpy as np
import pytest
from paced import Machine

from penstock.ir.ops.pacing import Row, Tried, outcome
from penstock.library.pacing import acceptance
from penstock.library.pacing.acceptance import WINDOW, Belief, idled, of_all, of_row, seen, tokens_of
from penstock.library.pacing.cost import ENOUGH, Cost, Load, nonnegative
from penstock.library.pacing.goodput import MARGIN, best, shared_out

LONGEST = 7


# --- expected tokens ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("alpha", "length", "tokens"), [(0.8, 4, 3.3616), (0.6, 7, 2.45801), (1.0, 5, 6.0), (0.0, 5, 1.0)])
def test_a_step_commits_the_drafts_it_accepts_and_one_token_more(alpha, length, tokens):
    assert Belief(alpha).tokens(8)[length] == pytest.approx(tokens, abs=1e-5)


def test_expected_tokens_are_the_mean_of_what_a_machine_commits():
    machine = Machine()
    drawn = [machine.tried(4, 0.8, 1.0).accepted + 1 for _ in range(40_000)]
    assert np.mean(drawn) == pytest.approx(Belief(0.8).tokens(4)[4], rel=0.01)


def test_rows_without_a_proposal_commit_one_token():
    some, none = Belief(0.5).tokens(2), Belief(0.5, proposes=0.0).tokens(2)
    assert tokens_of([some] * 3 + [none] * 5, (2,) * 8) == pytest.approx(10.25)
    assert tokens_of([Belief(0.5, proposes=3 / 8).tokens(2)] * 8, (2,) * 8) == pytest.approx(10.25)


# --- acceptance --------------------------------------------------------------------------------------------------------
def test_positions_that_were_tested_count_not_those_that_were_drafted():
    machine, row, drafted = Machine(), Row(), 0.0
    for _ in range(3000):
        tried = machine.tried(4, 0.8, 1.0)
        row, drafted = seen(row._replace(steps=0), [tried]), drafted + tried.offered
    assert row.accepted / row.tested == pytest.approx(0.8, abs=0.01)
    assert row.accepted / drafted == pytest.approx(0.5897, abs=0.015)


def test_acceptance_is_the_overlap_of_target_and_draft():
    p, q, draws = np.array([0.7, 0.2, 0.1]), np.array([0.4, 0.4, 0.2]), np.random.default_rng(0)
    token = draws.choice(3, 20_000, p=q)
    accepted = draws.random(20_000) < np.minimum(1, p / q)[token]
    assert accepted.mean() == pytest.approx(np.minimum(p, q).sum(), abs=0.01) and np.minimum(p, q).sum() == pytest.approx(0.7)


REAL = [True, True, True]


@pytest.mark.parametrize(
    ("draft", "real", "committed", "told"),
    [
        ([1, 2, 3], REAL, [1, 2, 3, 0], (3, 3, 3)),
        ([1, 2, 3], REAL, [1, 2, 0], (3, 2, 3)),
        ([1, 2, 3], REAL, [0], (3, 0, 1)),
        ([1, 2, 3], REAL, [1, 2], (3, 2, 2)),  # the token that ended the row was a draft's: nothing after it was tested
        ([1, 2, 3], [True, False, False], [1, 2], (1, 1, 1)),
        ([1, 2, 3], [False] * 3, [1], (0, 0, 0)),
    ],
)
def test_a_chain_is_tested_up_to_its_first_refusal(draft, real, committed, told):
    assert outcome(([[9, 9, 9], draft], [[True] * 3, real]), 1, committed) == Tried(*told)


def test_what_was_seen_counts_for_a_window_and_no_longer():
    row = Row()
    for _ in range(1000):
        row = seen(row, [Tried(8, 8, 8)])
        assert row.tested + row.tested_before <= 8 * WINDOW
    for _ in range(WINDOW):
        row = seen(row, [Tried(8, 0, 1)])
    assert row.accepted + row.accepted_before == 0 and of_all(row).alpha < 0.05


def test_what_was_seen_is_forgotten_after_a_window_without_drafts():
    row = seen(Row(), [Tried(3, 0, 1)] * 5)
    for missed in range(2 * WINDOW):
        assert seen(row, [Tried(1, 1, 1)]).tested == (1 if missed >= WINDOW else 6)
        row = idled(row)


def test_a_row_is_believed_as_all_are_until_it_has_shown_itself():
    everyone = of_all(Row(accepted=50, tested=60, accepted_before=40, tested_before=40, found=10, asked=30, asked_before=10))
    assert of_row(Row(), everyone) == everyone
    assert everyone.alpha == pytest.approx(90 / 100, abs=0.01) and everyone.proposes == pytest.approx(10 / 40, abs=0.05)
    assert of_row(Row(accepted=1, tested=100), everyone).alpha == pytest.approx(0.05, abs=0.01)
    assert of_all(Row()).alpha == acceptance.PRIOR


# --- cost --------------------------------------------------------------------------------------------------------------
LINE = np.array([4e-6, 2e-4, 1e-5, 5e-3, 1e-3])
GRID = [(Load(rows, 1.0 * rows * text), length) for rows, text, length in product((1, 3, 8), (64, 500), (0, 1, 2, 5))]


def features_of(grid):
    return np.array([load.features(length) for load, length in grid])


def test_the_fit_finds_the_line_that_times_were_made_from():
    assert nonnegative(features_of(GRID), features_of(GRID) @ LINE) == pytest.approx(LINE, rel=0.01)


def test_no_coefficient_is_negative_where_least_squares_would_have_one():
    times = features_of(GRID) @ np.array([4e-6, 2e-4, -4e-4, 5e-3, 1e-3])
    assert np.linalg.lstsq(features_of(GRID), times, rcond=None)[0].min() < 0
    line = nonnegative(features_of(GRID), times)
    assert line.min() >= 0
    smaller = [line * (1 + step * np.eye(5)[i]) for i in range(5) for step in (-0.01, 0.01)]
    error = lambda x: ((features_of(GRID) @ x - times) ** 2).sum()  # noqa: E731
    assert all(error(line) <= error(other) for other in smaller)


def measured(seconds, kinds, times=ENOUGH):
    cost = Cost()
    for load, length in kinds:
        for _ in range(1 + times):
            cost.add(load, length, seconds(load, length))
    return cost


def test_a_length_that_was_never_tried_is_on_the_line_and_one_that_was_is_what_it_took():
    def stairs(load, length):
        return 1.0 + 0.1 * length + (0.5 if length >= 4 else 0)

    cost = measured(stairs, [(Load(2, 100), length) for length in (0, 1, 2, 4)])
    told = cost.seconds(Load(2, 100), 5)
    assert [told[length] for length in (0, 1, 2, 4)] == pytest.approx([1.0, 1.1, 1.2, 1.9])
    assert told[2] < told[3] < told[5]


def test_a_longer_draft_never_takes_less_whatever_was_measured():
    cost = measured(lambda load, length: {0: 3.0, 2: 1.0, 4: 5.0}[length], [(Load(2, 100), length) for length in (0, 2, 4)])
    told = cost.seconds(Load(2, 100), 5)
    assert told == sorted(told) and told[0] == told[2] == pytest.approx(3.0) and told[4] == pytest.approx(5.0)


def test_what_is_forgotten_is_timed_anew_without_warming_up():
    cost = measured(lambda load, length: 1.0 + length, [(Load(2, 100), length) for length in (0, 2)])
    cost.forget(2, 0)
    assert cost.known(2, 2) and not cost.known(2, 0)
    for _ in range(ENOUGH):
        cost.add(Load(2, 100), 0, 2.0)
    assert cost.known(2, 0) and cost.seconds(Load(2, 100), 0)[0] == pytest.approx(2.0)


def test_nothing_is_said_of_loads_beyond_those_that_were_measured():
    cost = measured(lambda load, length: 1 + load.rows + load.context / 100 + length, GRID)
    assert cost.seconds(Load(500, 1e6), 3) == pytest.approx(cost.seconds(Load(8, 4000), 3))
    assert cost.seconds(Load(1, 0), 3)[0] > 0


def test_a_slow_first_step_and_one_slow_among_many_do_not_count():
    cost = Cost()
    for seconds in (90.0, 1.0, 1.1, 0.9, 50.0, 1.0):
        cost.add(Load(1, 10), 0, seconds)
    cost.fit()
    assert cost.seconds(Load(1, 10), 0)[0] == pytest.approx(1.0)
    assert not cost.known(1, 2) and not cost.known(2, 0)


# --- choice ------------------------------------------------------------------------------------------------------------
def h100(rows):
    """Milliseconds of a step by length: Llama-8B and a draft head, 512 tokens a row (the authors' own fits)."""
    read = 512 * rows
    verify = [4.86e-5 * read + 1.844e-2 * rows * (k + 1) - 4.33e-2 * rows + 6.939 for k in range(8)]
    draft = [2.90e-6 * read + 4.39e-5 * rows * (k + 1) + 0.4522 * k + 5.53e-3 * rows + 0.447 for k in range(8)]
    return [v + (d if k else 0) for k, (v, d) in enumerate(zip(verify, draft, strict=True))]


@pytest.mark.parametrize(
    ("alpha", "lengths"), [(0.7, (5, 4, 3, 2, 0)), (0.5, (3, 2, 1, 0, 0)), (0.9, (7, 7, 6, 5, 0))]
)
def test_the_choice_is_the_best_of_all_lengths(alpha, lengths):
    chosen = [best([Belief(alpha)] * rows, h100(rows), margin=1.0) for rows in (1, 16, 64, 128, 256)]
    assert tuple(each[0] for each in chosen) == lengths
    assert all(len(set(each)) == 1 for each in chosen)


def test_more_load_never_means_longer_drafts_and_more_acceptance_never_shorter_ones():
    table = [[best([Belief(a)] * b, h100(b))[0] for b in (1, 4, 16, 64, 128)] for a in (0, 0.2, 0.4, 0.6, 0.8, 0.99)]
    assert all(line == sorted(line, reverse=True) for line in table)
    assert all(list(column) == sorted(column) for column in zip(*table, strict=True))
    assert table[0] == [0] * 5 and table[-1][0] == LONGEST


def test_drafts_must_win_by_a_tenth():
    even = [1.0, 1.5 / MARGIN]
    assert best([Belief(0.49)], even) == (0,) and best([Belief(0.51)], even) == (1,)


def test_a_length_behind_a_stair_is_found():
    assert best([Belief(0.9)], [1.0, 2.5, 2.6, 2.6, 2.6]) == (4,)


def test_a_batch_is_shared_out_by_acceptance():
    rows = [Belief(0.8), Belief(0.4), Belief(0.0), Belief(0.4, proposes=0.5)]
    assert shared_out(2, rows, 8) == (4, 2, 1, 1)
    assert max(shared_out(4, rows, 5)) == 5 and sum(shared_out(4, rows, 5)) == 16
    assert shared_out(0, rows, 5) == (0,) * 4 and shared_out(5, rows, 5) == (5,) * 4


def test_budgets_by_row_cost_what_the_widest_row_costs():
    beliefs = [Belief(0.9), Belief(0.1)]
    chosen = best(beliefs, [1.0, 1.1, 1.2, 1.3, 9.0], by_row=True)
    assert chosen == (3, 1)
