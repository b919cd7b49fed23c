"""The law of a pipeline: every text it can decode, with its exact probability."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from penstock.backends.enumerate.scratch import ForwardCheck
from penstock.backends.enumerate.worlds import Worlds, merged
from penstock.ir.rows import State
from penstock.ir.state import RUNNING, View
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
        worlds = Worlds(weight, reads, group, found.coverage, check)
        out = worlds.run(step.graph, [state[name] for name in step.handles])
        state = {name: settled(handle) for name, handle in zip(step.handles, out, strict=True)}
        state, weight, reads = merged(state, worlds.weight, worlds.reads, group)
        found.worlds, found.steps = max(found.worlds, worlds.peak // group), found.steps + 1
        if found.steps > max_steps:
            raise RuntimeError(f"rows still run after {max_steps} steps")
    found.law, found.columns = texts(state, weight, group), check.columns
    return found


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
