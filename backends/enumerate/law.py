"""The law of a pipeline: every text it can decode, with its exact probability."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

from penstock.backends.enumerate.scratch import ForwardCheck
from penstock.backends.enumerate.worlds import Worlds, merged
from penstock.ir.rows import State, cat, cat_states, take_state
from penstock.ir.state import RUNNING, View
from penstock.passes.buckets import in_buckets
from penstock.passes.build import StepGraph

Law = dict[tuple[int, ...], float]
"""Probability by text (the generated suffix)."""


@dataclass
class Enumerated:
    """A law and how it was found."""

    law: Law
    coverage: dict[str, float] = field(default_factory=dict)
    """The largest weight with which each draw, and each draw that was not certain, happened in some world."""
    worlds: int = 0
    """The most worlds alive at once."""
    steps: int = 0
    columns: int = 0
    """Forward columns compared with one from scratch."""


def enumerate_law(step: StepGraph, state: State, *, group: int = 1, max_steps: int = 64) -> Enumerated:
    """Run all worlds of ``state``'s first row to their end; the other ``group - 1`` rows are mates, raced beside it."""
    weight, reads = torch.ones(group, dtype=torch.float64), torch.zeros(group, 0, dtype=torch.long)
    found, check = Enumerated({}), ForwardCheck()
    for view in (h for h in state.values() if isinstance(h, View)):
        view.trail = view.model.embed(view.prefix[:, :0])
    while bool((state["seq"].status[::group] == RUNNING).any()):  # type: ignore[attr-defined]
        done, peak = [], 0
        for graph, rows in buckets(step, state, group):
            worlds = Worlds(weight[rows], reads[rows], group, found.coverage, check)
            part = state if len(rows) == len(weight) else take_state(state, rows)
            if graph is not None:
                out = worlds.run(graph, [part[name] for name in step.handles])
                part = {name: settled(handle) for name, handle in zip(step.handles, out, strict=True)}
            done.append((part, worlds.weight, worlds.reads))
            peak += worlds.peak // group
        state, weight, reads = merged(*together(done), group)
        found.worlds, found.steps = max(found.worlds, peak), found.steps + 1
        if found.steps > max_steps:
            raise RuntimeError(f"rows still run after {max_steps} steps")
    found.law, found.columns = texts(state, weight, group), check.columns
    return found


def buckets(step: StepGraph, state: State, group: int) -> Iterator[tuple[fx.Graph | None, Tensor]]:
    """The graph that each world runs next, with the rows of all worlds that run it; None where nothing runs."""
    live = state["seq"].live  # type: ignore[attr-defined]
    if step.decision is None or step.at is None:
        yield step.graph, torch.arange(len(live))
        return
    for bucket, rows in in_buckets(state[step.decision].value, live, group):  # type: ignore[attr-defined]
        yield None if bucket is None else step.at(bucket).graph, rows


def together(parts: Sequence[tuple[State, Tensor, Tensor]]) -> tuple[State, Tensor, Tensor]:
    """States with their weights and read logs as one."""
    if len(parts) == 1:
        return parts[0]
    states, weights, reads = zip(*parts, strict=True)
    return cat_states(*states), cat(*weights), cat(*reads)


def settled(handle: object) -> object:
    """A view with nothing in the slots beyond its text, so that equal texts are equal states."""
    if isinstance(handle, View):
        handle.cache.clear_from(handle.cached)
    return handle


def texts(state: State, weight: torch.Tensor, group: int) -> Law:
    """Total weight by text of the enumerated rows."""
    seq, law = state["seq"], Law()
    for row in range(0, len(weight), group):
        text = tuple(seq.tokens[row, : seq.length[row]].tolist())  # type: ignore[attr-defined]
        law[text] = law.get(text, 0.0) + float(weight[row])
    return law


def total_variation(a: Mapping[tuple[int, ...], float], b: Mapping[tuple[int, ...], float]) -> float:
    """Half the sum of absolute differences."""
    return sum(abs(a.get(t, 0.0) - b.get(t, 0.0)) for t in {*a, *b}) / 2
