"""Conditional regions: only live rows that are meant change, and where there are none nothing runs."""

from typing import Any

import pytest
import torch
from toy_steps import HANDLES, ROWS, VOCAB, WIDTH, X, Y, above, add, everywhere, fresh, noted, ran, row_of, traced, value

from penstock.backends.enumerate.worlds import Worlds
from penstock.ir.ops.forward import forward
from penstock.ir.ops.random import race
from penstock.ir.ops.sequence import append, get, look, put
from penstock.ir.region import cond_rows
from penstock.ir.state import Register


@everywhere
@pytest.mark.parametrize(("least", "dead", "changed"), [(2.0, (), [1, 2]), (2.0, (2,), [1]), (0.0, (0, 1, 2), []), (9.0, (), [])])
def test_cond_rows_changes_only_live_rows_that_are_meant(run, least, dead, changed):
    def body() -> None:
        x = get("reg:x")

        def once(x: Any) -> list[Any]:
            put("reg:y", get("reg:y") * 2)
            return [add(noted(x, "body"), 50.0)]

        (new,) = cond_rows(above(x, least), once, [x])
        put("reg:x", new)

    out = run(traced(body), fresh(dead))
    meant = torch.zeros(ROWS, dtype=torch.bool)
    meant[changed] = True
    assert torch.equal(value(out, "x"), torch.where(meant[:, None], X + 50, X))
    assert torch.equal(value(out, "y"), torch.where(meant, Y * 2, Y))
    assert ran == (["body"] if changed else [])  # where no row is meant, nothing runs


@everywhere
def test_what_lives_outside_a_conditional_region_is_as_before(run):
    def body() -> None:
        cond_rows(above(get("reg:x"), 4.0), lambda: put("reg:x", get("reg:x") * 0) or [], [])
        put("reg:y", add(get("reg:y"), 1.0))

    out = run(traced(body))
    assert torch.equal(value(out, "y"), Y + 1)
    assert torch.equal(value(out, "x"), torch.where(X[:, :1] >= 4, 0.0, X))


@everywhere
def test_a_view_inside_a_conditional_region_is_fed_by_its_rows_and_catches_up_later(run):
    """Row 0 is scored in the first step; rows 1 and 2 only in the second, with the whole text as their gap."""

    def step(least: float) -> Any:
        def body() -> None:
            def score(x: Any) -> list[Any]:
                logits, _ = forward("view:t", "seq", root=True)
                return [logits[:, 0]]

            (x,) = cond_rows(~above(get("reg:x"), least), score, [get("reg:x")])
            put("reg:x", x)
            append("seq", row_of(get("reg:y") * 0, get("reg:x")).long()[:, :1] + 2, (get("reg:y") * 0 + 1).long(), ())

        return traced(body)

    state = fresh()
    state["reg:x"] = Register(torch.arange(ROWS * VOCAB).view(ROWS, VOCAB).double())
    model, before = state["view:t"].model, state["reg:x"].value.clone()
    state = run(step(1.0), state)
    assert state["view:t"].cached.tolist() == [1, 0, 0]
    assert torch.equal(value(state, "x")[1:], before[1:]) and not state["view:t"].cache.buffer[:, :, 1:, :, :-1].any()
    state["reg:x"] = Register(before)
    state = run(step(100.0), state)
    assert state["view:t"].cached.tolist() == [2, 3, 4]  # the texts of that step; each now has one token more
    texts = ([1, 2], [2, 0, 2], [0, 2, 1, 2])
    right = torch.stack([model.from_scratch(model.embed(torch.tensor(text)))[-1] for text in texts])
    assert torch.allclose(value(state, "x"), right)


def test_the_enumerator_forks_inside_a_region_and_regathers_what_is_outside():
    def body() -> None:
        outside = get("reg:x")
        length, _, steps, key, _ = look("seq")

        def drawn(x: Any) -> list[Any]:
            token = race(torch.ones_like(x), key, "tests", "draw", (steps, length))
            return [row_of(token, x)]

        (x,) = cond_rows(above(outside, -1.0), drawn, [outside])
        put("reg:x", add(x, outside))

    graph = traced(body)
    one = {name: handle.take(torch.tensor([1])) for name, handle in fresh().items()}
    run = Worlds(torch.ones(1, dtype=torch.float64), torch.zeros(1, 0, dtype=torch.long), 1, {}, None)
    out = dict(zip(HANDLES, run.run(graph, [one[name] for name in HANDLES]), strict=True))
    assert torch.allclose(run.weight, torch.full((WIDTH,), 1 / WIDTH, dtype=torch.float64))
    assert torch.equal(value(out, "x"), X[1] + torch.arange(float(WIDTH))[:, None])
    assert torch.equal(value(out, "y"), Y[1].expand(WIDTH))


def test_a_region_that_means_no_row_draws_no_noise():
    def body() -> None:
        length, _, steps, key, _ = look("seq")

        def drawn(x: Any) -> list[Any]:
            return [row_of(race(torch.ones_like(x), key, "tests", "draw", (steps, length)), x)]

        (x,) = cond_rows(above(get("reg:x"), 9.0), drawn, [get("reg:x")])
        put("reg:x", x)

    graph, state = traced(body), fresh()
    run = Worlds(torch.ones(ROWS, dtype=torch.float64), torch.zeros(ROWS, 0, dtype=torch.long), 1, {}, None)
    run.run(graph, [state[name] for name in HANDLES])
    assert run.reads.shape[1] == 0 and len(run.weight) == ROWS
