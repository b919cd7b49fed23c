"""A grammar's states may be named in one thread while masks are made in another."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep
from typing import Any

import pytest
import torch
from torch import Tensor

from penstock.library.constraints.engine.states import States
from penstock.library.constraints.engine.texts import Texts
from penstock.library.constraints.letters import Letters

LONG, A_WHILE = 20.0, 0.05
"""Seconds after which a thread that waits gives up; and that one is given to go where it must not."""


class Door:
    """Where a thread stands until it is let through; another one must not come to it meanwhile."""

    def __init__(self) -> None:
        self.arrived, self.opened, self.inside, self.most = Event(), Event(), 0, 0

    def through(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.arrived.set()
        assert self.opened.wait(LONG)
        self.inside -= 1


class Doored(list[int]):
    """A list with a door before its end."""

    def __init__(self, values: list[int], door: Door) -> None:
        super().__init__(values)
        self.door = door

    def append(self, value: int) -> None:
        self.door.through()
        super().append(value)


class Slow:
    """A matcher of anything, whose masks are behind a door."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def copy(self) -> "Slow":
        return Slow(self.door)

    def advance(self, token: int) -> bool:
        return True

    def allowed(self) -> Tensor:
        self.door.through()
        return torch.ones(4, dtype=torch.bool)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield threads


def test_no_two_texts_have_one_number(pool):
    texts, door = Texts(), Door()
    texts.token = Doored(texts.token, door)
    one = pool.submit(texts.after, 0, 1)
    assert door.arrived.wait(LONG)
    other = pool.submit(texts.after, 0, 2)
    sleep(A_WHILE)
    door.opened.set()
    numbers = one.result(LONG), other.result(LONG)
    assert numbers == (1, 2) and [texts.token[number] for number in numbers] == [1, 2]
    assert (texts.after(0, 1), texts.after(0, 2)) == numbers


@pytest.mark.parametrize("ask", ["allowed", "forget"])
def test_texts_are_named_while_a_mask_is_made_and_nothing_else_is_done(pool, ask):
    door = Door()
    states = States(Slow(door), Letters(4))  # type: ignore[arg-type]
    first = states.after(0, 1)
    one = pool.submit(states.allowed, first, None)
    assert door.arrived.wait(LONG)
    assert states.after(first, 2) == first + 1  # does not wait
    known, asked = states.texts, dict[str, tuple[Any, ...]](allowed=(first + 1, None), forget=())
    other = pool.submit(getattr(states, ask), *asked[ask])
    sleep(A_WHILE)
    assert not other.done() and states.texts is known
    door.opened.set()
    assert one.result(LONG).all()
    other.result(LONG)
    assert door.most == 1
    assert (states.texts is known) == (ask == "allowed")
