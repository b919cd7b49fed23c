"""The loop around the length of drafts, on a simulated machine: it finds the best, rests, pays for probes, and comes back."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from paced import Fixed, Machine

from penstock.ir.ops import pacing
from penstock.ir.ops.pacing import Row, Taken, Tried
from penstock.library.pacing import controller as controlling, cost as costing
from penstock.library.pacing.acceptance import WINDOW, seen
from penstock.library.pacing.controller import Controller
from penstock.library.pacing.cost import ENOUGH, Load

MACHINES = {
    "dear drafts": dict(draft=0.3, behind=0.001),
    "free drafts": dict(draft=0.0, behind=0.0),
    "dear columns": dict(column=0.3),
}


def auto(machine, **options):
    return Controller(8, now=machine.now, **options)


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("name", MACHINES)
def test_drafts_that_are_never_accepted_cost_less_than_a_twentieth(name, rows):
    machine, plain = (Machine(**MACHINES[name], noise=0.1) for _ in range(2))
    speed, lengths = machine.decode(auto(machine), lambda step: [0.0] * rows, 600)
    assert speed >= 0.95 * plain.decode(Fixed(0), lambda step: [0.0] * rows, 600)[0]
    assert any(lengths[100:])  # and yet they are tried again


@pytest.mark.parametrize(("alpha", "rows"), [(0.6, 1), (0.8, 8), (0.95, 3)])
def test_good_drafts_are_as_long_as_the_best_fixed_length(alpha, rows):
    make = lambda: Machine(**MACHINES["free drafts"], noise=0.05)  # noqa: E731
    fixed = [make().decode(Fixed(length), lambda step: [alpha] * rows, 600)[0] for length in range(9)]
    machine = make()
    speed, _ = machine.decode(auto(machine), lambda step: [alpha] * rows, 600)
    assert speed >= 0.95 * max(fixed) and speed > 1.5 * fixed[0]


def test_a_survey_takes_eight_steps():
    """Of which the first reads the prompt, and the first plain one warms up."""
    machine = Machine(draft=0.3)
    assert machine.decode(auto(machine), lambda step: [0.0] * 2, 20)[1] == [2] * 4 + [0] * 16


def escapes(pace, machine):
    """Whether drafts begin again within two probes of acceptance coming back after 500 steps without."""
    _, lengths = machine.decode(pace, lambda step: [0.9 if step < 100 or step >= 600 else 0.0] * 2, 1400)
    probes = [step for step in range(200, 600) if lengths[step] and not lengths[step - 1]]
    if lengths[200:600].count(0) < 340 or len(probes) < 2:
        return False
    after = lengths[600 + 2 * max(b - a for a, b in pairwise(probes)) :]
    return sum(map(bool, after)) > 0.9 * len(after) > 0


def test_drafts_begin_again_when_acceptance_comes_back():
    machine = Machine(draft=0.1)
    assert escapes(auto(machine), machine)


def test_a_loop_without_probes_is_seen(monkeypatch):
    monkeypatch.setattr(Controller, "due", lambda *_: False)
    machine = Machine(draft=0.1)
    assert not escapes(auto(machine), machine)


def test_a_rest_that_never_asks_is_seen(monkeypatch):
    monkeypatch.setattr(controlling, "PATIENCE", 10**9)
    machine = Machine(draft=0.1)
    assert not escapes(auto(machine), machine)


def test_a_memory_that_never_forgets_is_seen(monkeypatch):
    monkeypatch.setattr(controlling, "seen", lambda row, drafts: seen(row._replace(steps=0, behind=0), drafts))
    machine = Machine(draft=0.1)
    assert not escapes(auto(machine), machine)


def test_a_probe_waits_until_plain_steps_have_paid_for_what_its_drafter_missed():
    """Reading what was missed takes a fifth of a plain step a token: more than probes may, so there are ever fewer."""
    dear = Machine(draft=0.3, behind=0.2)
    speed, lengths = dear.decode(auto(dear), lambda step: [0.0], 1500)
    assert speed >= 0.95 * Machine(draft=0.3).decode(Fixed(0), lambda step: [0.0], 1500)[0]
    cheap = Machine(draft=0.3, behind=0.0)
    assert cheap.decode(auto(cheap), lambda step: [0.0], 1500)[1].count(0) < lengths.count(0)


class Busy(Machine):
    """A machine that takes four times as long for the first plain steps it is timed at."""

    def seconds(self, rows, length, missed):
        return super().seconds(rows, length, missed) * (4 if self.time < 40 and not length else 1)


def of_the_best(alpha, **costs):
    """What is reached on a machine that was busy when plain steps were timed, as a share of plain steps and of two drafted."""
    machine = Busy(**costs)
    speed, lengths = machine.decode(auto(machine), lambda step: [alpha], 1500)
    return speed / max(Machine(**costs).decode(Fixed(k), lambda step: [alpha], 1500)[0] for k in (0, 2)), lengths


def test_a_longer_draft_is_never_taken_for_faster_than_none():
    share, lengths = of_the_best(0.0, draft=0.6)
    assert share >= 0.95 and lengths[:50].count(0) > 40


def test_plain_steps_that_were_timed_on_a_busy_machine_are_timed_again():
    assert of_the_best(0.5, draft=0.6)[0] >= 0.9


def test_plain_steps_that_are_never_timed_again_are_seen(monkeypatch):
    monkeypatch.setattr(Controller, "doubt", lambda *_: None)
    assert of_the_best(0.5, draft=0.6)[0] < 0.85


def test_timing_plain_steps_again_costs_less_than_a_hundredth():
    machine, sure = Machine(), Machine()
    speed, lengths = machine.decode(auto(machine), lambda step: [1.0], 3000)
    again = lengths[100:].count(0)
    assert 3 <= again < 30 and speed > 0.98 * sure.decode(Fixed(8), lambda step: [1.0], 3000)[0]


def test_a_new_batch_goes_on_as_the_last_one_did():
    machine = Machine(draft=0.3)
    pace = auto(machine)
    assert pace.opening(2) == 2
    machine.decode(pace, lambda step: [0.0] * 2, 60)
    assert pace.opening(2) == 0 and pace.opening(3) == 2
    machine.decode(pace, lambda step: [0.95] * 3, 60)
    assert pace.opening(3) > 2 and pace.opening(2) == 0


def test_rows_that_find_nothing_to_draft_make_drafts_worth_less():
    fixed = {}
    for finds in (1.0, 0.1):
        machine = Machine(draft=0.0, column=0.1)
        fixed[finds] = np.mean(machine.decode(auto(machine), lambda step: [0.8] * 4, 300, finds)[1][50:])
    assert fixed[0.1] < fixed[1.0] - 1


def test_a_probe_of_one_token_is_enough_where_no_more_may_be_drafted():
    machine = Machine(draft=0.1)
    _, lengths = machine.decode(Controller(1, now=machine.now), lambda step: [0.9], 100)
    assert set(lengths) == {0, 1} and lengths[-1] == 1


def test_the_fit_is_made_now_and_then(monkeypatch):
    made, fit = [], costing.nonnegative
    monkeypatch.setattr(costing, "nonnegative", lambda *given: made.append(1) or fit(*given))
    machine = Machine(draft=0.1)
    machine.decode(auto(machine), lambda step: [0.8], 300)
    assert 2 <= len(made) <= 25


def test_a_step_in_which_a_drafter_reads_what_it_missed_is_no_measure_of_steps_like_it():
    machine = Machine(draft=0.1, behind=0.001)
    pace = auto(machine)
    _, lengths = machine.decode(pace, lambda step: [0.0], 500)
    assert any(lengths[100:])
    for (rows, length), times in pace.cost.times.items():
        assert max(seconds for _, seconds in times) == pytest.approx(machine.seconds(rows, length, 0))


def surveyed(rows=1):
    """A pace that knows what steps of so many rows take, a plain one second and a probe a half more, and rests."""
    pace = Controller(8, now=lambda: 0.0)
    for length in (0, 2):
        for _ in range(1 + ENOUGH):
            pace.cost.add(Load(rows, 100), length, 1 + length / 4)
    pace.rest(rows)
    return pace


def test_a_probe_is_due_when_its_price_was_put_by_and_its_evidence_is_needed():
    pace = surveyed()
    pace.saved, pace.all_rows = 0.6, Row(behind=WINDOW)
    pace.reading.extend([0.01] * 5)
    assert pace.due([Row(behind=5)], Load(1, 100)) and not pace.due([Row(behind=5), Row(behind=50)], Load(1, 100))
    pace.all_rows = Row(behind=WINDOW - 1)
    assert not pace.due([Row(behind=5)], Load(1, 100))


@pytest.mark.parametrize(("spent", "drafted", "left"), [(3.0, 2, 0.0), (8.0, 2, -3.0), (8.0, WINDOW, 0.0)])
def test_a_probe_that_came_to_nothing_is_paid_for(spent, drafted, left):
    pace = surveyed()
    pace.saved, pace.spent, pace.drafted = 5.0, spent, drafted
    pace.rest(1)
    assert (pace.saved, pace.spent, pace.drafted) == (left, 0.0, 0)


def test_a_first_step_which_reads_the_prompt_is_no_measure_and_leaves_its_drafter_a_prompt_behind():
    pace = surveyed()
    known = {kind: len(times) for kind, times in pace.cost.times.items()}
    (row,) = pace.after(Taken(0, -90.0, [40], [True], [True], [Row()], [Tried(0, 0, 0)]))
    assert {kind: len(times) for kind, times in pace.cost.times.items()} == known
    assert row.behind == 41
    (row,) = pace.after(Taken(0, -1.0, [41], [False], [True], [row], [Tried(0, 0, 0)]))
    assert row.behind == 42 and len(pace.cost.times[1, 0]) == known[1, 0] + 1


def paced_at_rest(pace, rows, asked):
    """What a step of a rest leaves of rows, and of what the pace keeps; ``asked``: by the way of steps that are decided."""
    kept = torch.tensor(rows, dtype=torch.float64), torch.tensor([[3, 0, 1], [0, 2, 0]])
    text, new, ones = torch.tensor([40, 7]), torch.tensor([False, False]), torch.ones(2, dtype=torch.int64)
    if asked:
        pace.idles = lambda began, text: False
    left = pacing.paced(pace, 0, -2.0, text, new, kept, None, ones[:, None], ones, live=ones.bool())
    return left, (pace.saved, pace.all_rows.behind + pace.unasked, sorted(pace.resting))


def test_a_step_of_a_rest_leaves_what_a_decided_one_leaves():
    rows = [Row(0, 5, 9, 1, 4, 2, 6), Row(0, 30)]
    short, whole = (paced_at_rest(surveyed(2), rows, asked) for asked in (False, True))
    torch.testing.assert_close(short, whole)
    assert short[0][1][:, 1].tolist() == [6, 31] and short[1][0] == pytest.approx(0.02)
