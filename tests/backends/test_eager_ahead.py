"""Host work that runs in a thread beside the step: begun, read, abandoned, failed, interrupted. No test here measures time."""

import gc
import signal
import threading
from threading import Event, get_ident, main_thread
from typing import Any

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from penstock.backends.eager import ahead
from penstock.backends.eager.ahead import Ahead, awaited, begun, worker
from penstock.ir.op import op
from penstock.ir.ops.ahead import Work
from penstock.ir.ops.logits import over

LONG = 20.0
"""Seconds after which a thread that waits for another gives up, and the test fails."""
STATE, LIMIT = torch.tensor([[3, 4, 5], [6, 7, 8]]), torch.tensor([10, 20])


class Log:
    """What host work did, and the door that it stands before."""

    def __init__(self, door: int | None = None, faulty: int | None = None) -> None:
        self.made: list[int] = []
        self.threads: set[int] = set()
        self.door, self.faulty = door, faulty
        self.arrived, self.opened = Event(), Event()

    def __call__(self, state: int, limit: int) -> list[float]:
        self.threads.add(get_ident())
        if state == self.door:
            self.arrived.set()
            assert self.opened.wait(LONG), "nobody else went on"
        self.made.append(state)
        if state == self.faulty:
            raise ValueError(f"no mask for {state}")
        return [state + 0.5, limit]


@op("host")
def weighed(log: Log, state: Int[Tensor, "*B"], limit: Int[Tensor, "B"]) -> Float[Tensor, "*B G"]:
    """Two numbers a state."""
    limits = over(limit, state).expand(state.shape)
    rows = [log(*pair) for pair in zip(state.flatten().tolist(), limits.flatten().tolist(), strict=True)]
    return torch.tensor(rows).view(*state.shape, 2)


@pytest.fixture
def threaded(monkeypatch):
    monkeypatch.setattr(ahead, "WORTH", 0.0)


def settled() -> None:
    """Whatever was begun before has been left or ended."""
    worker().submit(lambda: None).result(LONG)


def test_the_work_is_done_in_another_thread_while_this_one_goes_on(threaded):
    log = Log(door=3)
    value = begun(Work(weighed), log, STATE, LIMIT)
    assert log.arrived.wait(LONG)  # it has begun, and this thread is here: the door opens from outside only
    log.opened.set()
    settled()
    torch.testing.assert_close(awaited(value), weighed.meaning(Log(), STATE, LIMIT))
    assert get_ident() not in log.threads and sorted(log.made) == STATE.flatten().tolist()


def test_the_first_site_of_every_row_comes_first(threaded):
    log = Log()
    value = begun(Work(weighed), log, STATE, LIMIT)
    settled()
    assert log.made == [3, 6, 4, 7, 5, 8]
    assert value[1, 2].tolist() == [8.5, 20.0] and len(log.made) == 6


def test_an_entry_that_is_read_before_its_turn_is_made_at_once(threaded):
    log = Log()
    worker().submit(log.opened.wait, LONG)  # the thread is busy elsewhere
    value = begun(Work(weighed), log, STATE, LIMIT)
    assert value[1, 1].tolist() == [7.5, 20.0] and log.made == [7] and log.threads == {get_ident()}
    log.opened.set()
    settled()
    assert log.made == [7, 3, 6, 4, 5, 8]


def test_what_nobody_can_read_any_more_is_not_made(threaded):
    log = Log(door=6)
    value = begun(Work(weighed), log, STATE, LIMIT)
    assert log.arrived.wait(LONG)
    del value
    log.opened.set()
    settled()
    gc.collect()
    assert log.made == [3, 6]


def test_an_error_is_that_of_whoever_reads_the_entry(threaded):
    log = Log(faulty=4)
    value = begun(Work(weighed), log, STATE, LIMIT)
    settled()
    assert value[0, 0].tolist() == [3.5, 10.0] and len(log.made) == 6
    with pytest.raises(ValueError, match="no mask for 4"):
        value[0, 1]
    with pytest.raises(ValueError, match="no mask for 4"):
        awaited(value)


def test_an_interrupt_ends_the_waiting(threaded):
    log = Log(door=3)
    value = begun(Work(weighed), log, STATE, LIMIT)
    assert log.arrived.wait(LONG)
    ident = main_thread().ident
    assert ident is not None
    threading.Timer(0.05, signal.pthread_kill, (ident, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        value[0, 0]
    log.opened.set()
    settled()
    assert value[0, 0].tolist() == [3.5, 10.0]


def test_work_that_is_short_is_done_where_it_is_read():
    log, work = Log(), Work(weighed, seconds=ahead.WORTH / 7)
    value = begun(work, log, STATE, LIMIT)
    settled()
    assert log.made == [] and value[0, 2].tolist() == [5.5, 10.0] and log.made == [5]
    work.seconds = ahead.WORTH / 6
    begun(work, log, STATE, LIMIT).whole()
    settled()
    assert len(log.threads) >= 1 and sorted(log.made) == [3, 4, 5, 5, 6, 7, 8]


def test_the_pace_is_that_of_the_entries(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(ahead, "perf_counter", lambda: float(next(clock)))
    work = Work(weighed)
    value = Ahead(work, (Log(), STATE, LIMIT), (2, 3))
    for place in ((0, 0), (0, 1), (0, 1)):  # read twice, made once
        value.make(place)
    assert work.seconds == pytest.approx(1 - (1 - ahead.RECENT) ** 2)


def test_rows_alone_have_entries_too(threaded):
    log = Log()
    value = begun(Work(weighed), log, STATE[:, 0], LIMIT)
    torch.testing.assert_close(awaited(value), torch.tensor([[3.5, 10.0], [6.5, 20.0]]))
    assert value[1].tolist() == [6.5, 20.0]


def test_a_tensor_is_awaited_as_it_is():
    given: Any = torch.ones(2)
    assert awaited(given) is given
