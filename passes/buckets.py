"""Steps whose shape a Decision picks: one graph a bucket, all over one state; each step picks the bucket of the next.

An exit layer or a draft length is a constant of a graph. A stage that decides one names in ``decision`` the register that
carries it, ``[b,k]`` numbers, the same for all rows; the host reads it between steps and runs that bucket's graph.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from penstock.ir.errors import PenstockError
from penstock.ir.state import RUNNING
from penstock.passes.plan import Plan

if TYPE_CHECKING:
    from penstock.passes.build import StepGraph

Bucket = tuple[int, ...]
Run = Callable[..., tuple[Any, ...]]


def decision_of(plan: Plan) -> str | None:
    """The handle that picks the bucket, if a stage names one; two are an error naming both."""
    found = [p for p in plan.stages if p.stage.decision]
    if len(found) > 1:
        raise PenstockError(
            f"stages {found[0].name} and {found[1].name} both decide what the next step looks like",
            where=found[1].source or None,
            fix="keep one of them",
        )
    return f"reg:{found[0].stage.decision}" if found else None


def buckets(plan: Plan) -> Plan:
    """Notes that the step is one of several, where a stage decides what the next one looks like."""
    handle = decision_of(plan)
    return plan if handle is None else plan.but(f"buckets: one graph for each value of {handle}, which a step sets for the next")


def bucket_of(register: Any, status: Sequence[int]) -> Bucket:
    """What the first running row's Decision names; rows that joined since may have another, and follow from the next step on."""
    return tuple(register.value.tolist()[status.index(RUNNING) if RUNNING in status else 0])


def by_bucket(step: "StepGraph", make: Callable[["StepGraph"], Run]) -> Run:
    """A step function that runs the graph of the bucket its state names, made when first met."""
    if step.decision is None or step.at is None:
        return make(step)
    seq, decision = step.handles.index("seq"), step.handles.index(step.decision)
    made: dict[Bucket, Run] = {}

    def run(*handles: Any) -> tuple[Any, ...]:
        bucket = bucket_of(handles[decision], handles[seq].status.tolist())
        if bucket not in made:
            made[bucket] = make(step.at(bucket))  # type: ignore[misc]
        return made[bucket](*handles)

    return run


def in_buckets(decided: Tensor, live: Tensor, group: int) -> Sequence[tuple[Bucket | None, Tensor]]:
    """Worlds of ``group`` rows by the bucket that their running rows' Decision names, as row numbers; None: nothing runs."""
    found: dict[Bucket | None, list[int]] = {}
    for first in range(0, len(live), group):
        rows = range(first, first + group)
        running = [r for r in rows if bool(live[r])]
        bucket = tuple(decided[running[0]].tolist()) if running else None
        found.setdefault(bucket, []).extend(rows)
    return [(bucket, Tensor(rows).long()) for bucket, rows in found.items()]
