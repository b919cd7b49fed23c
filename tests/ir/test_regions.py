"""Regions: what is repeated, called, carried and captured, the same whoever runs it."""

from typing import Any

import torch
from toy_steps import X, Y, above, add, everywhere, noted, plus, traced, value

from penstock.ir.ops.sequence import get, put
from penstock.ir.region import call, cond_rows, copied, repeat
from penstock.ir.show import show
from penstock.passes.dead_code import dead_code


@everywhere
def test_repeat_counts_carries_values_and_threads_handles(run):
    def body() -> None:
        outside = get("reg:y")

        def once(i: Any, x: Any) -> list[Any]:
            put("reg:y", add(get("reg:y"), 1.0))  # a handle: its next version goes into the next iteration
            return [add(plus(x, outside), i)]

        (x,) = repeat(3, once, [get("reg:x")])
        put("reg:x", x)

    out = run(traced(body))
    assert torch.equal(value(out, "x"), X + 3 * Y[:, None] + 0 + 1 + 2)
    assert torch.equal(value(out, "y"), Y + 3)


@everywhere
def test_repeat_with_a_mask_among_its_carry_is_a_bounded_while(run):
    def body() -> None:
        def once(_: Any, x: Any, going: Any) -> list[Any]:
            def grow(x: Any) -> list[Any]:
                return [add(x, 1.0)]

            (x,) = cond_rows(going, grow, [x])
            return [x, ~above(x, 4.0)]

        x, _ = repeat(5, once, [get("reg:x"), ~above(get("reg:x"), 4.0)])
        put("reg:x", x)

    assert torch.equal(value(run(traced(body)), "x")[:, 0], torch.tensor([4.0, 4.0, 4.0]))


@everywhere
def test_regions_nest_and_capture_from_any_depth(run):
    def body() -> None:
        far = get("reg:y")

        def outer(x: Any) -> list[Any]:
            near = add(x, 1.0)

            def middle(i: Any, x: Any) -> list[Any]:
                def inner(x: Any) -> list[Any]:
                    put("reg:y", add(get("reg:y"), 1.0))
                    return [add(plus(x, far), add(near, i))]

                return cond_rows(above(near, 3.0), inner, [x])

            return repeat(2, middle, [x], label="twice")

        (x,) = call(outer, [get("reg:x")], label="inner pipeline")
        put("reg:x", x)

    graph = traced(body)
    out, meant = run(graph), X[:, 0] >= 2
    assert torch.equal(value(out, "x"), torch.where(meant[:, None], X + 2 * Y[:, None] + 2 * (X + 1) + 1, X))
    assert torch.equal(value(out, "y"), torch.where(meant, Y + 2, Y))
    text = show(graph)
    assert "inner pipeline" in text and "twice 2" in text and "reg_y'" in text


def test_a_lowered_copy_leaves_the_regions_of_the_graph_alone():
    def body() -> None:
        def outer(x: Any) -> list[Any]:
            def inner(x: Any) -> list[Any]:
                noted(x, "unused")
                return [add(x, 1.0)]

            return cond_rows(above(x, 0.0), inner, [x])

        (x,) = call(outer, [get("reg:x")], label="outer")
        put("reg:x", x)

    graph = traced(body)
    before = show(graph)
    other = copied(graph)
    assert dead_code(other) and "unused" in before and "unused" not in show(other)
    assert show(graph) == before
