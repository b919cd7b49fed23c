"""Role says when, place says what: sort a pipeline's stages into the phases of a step."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from penstock.ir.errors import PenstockError
from penstock.passes.plan import Placed, Plan

COMPOSING = ("transform", "gate")
PHASED = ("drafter", "scorer", *COMPOSING, "acceptor", "learner", "tap")
"""The roles that a step has a phase for; the others stand in fields of stages, in views, or around a pipeline."""


def placed(stages: Sequence[Any]) -> tuple[Placed, ...]:
    """Stages taken apart into their role parts, each named by kind and occurrence."""
    seen: Counter[str] = Counter()
    written: Counter[str] = Counter()
    out = []
    for stage in stages:
        for part in stage.parts():
            out.append(Placed(part, f"{part.kind}.{seen[part.kind]}", f"{stage.kind}.{written[stage.kind]}"))
            seen[part.kind] += 1
        written[stage.kind] += 1
    return tuple(out)


def phases(stages: Sequence[Any]) -> Plan:
    """requires: role parts. ensures: one scorer, at most one drafter and one acceptor, else an error naming both."""
    parts = placed(stages)
    refuse_unphased(parts)
    only(parts, "scorer")
    drafter = only(parts, "drafter")
    acceptor = acceptor_of(parts)
    scorers = tuple(p for p in parts if p.stage.role == "scorer")
    if not scorers:
        raise PenstockError("a pipeline needs a verifier", fix="add `verifier.model: {model: ...}`")
    first = parts.index(scorers[0])
    for part in parts[:first]:
        if part.stage.role in COMPOSING:
            raise part.wrong(
                f" reads Scored, which nothing before it gives; the first to give it is {scorers[0].name}",
                fix=f"write {part.name} after {scorers[0].name}",
            )
    compose = tuple(p for p in parts if p.stage.role in COMPOSING)
    return Plan(parts, drafter, scorers, compose, compose, (), acceptor)


def refuse_unphased(parts: Sequence[Placed]) -> None:
    """No stage is dropped in silence."""
    for part in parts:
        if part.stage.role not in PHASED:
            raise part.wrong(
                f" is a {part.stage.role}, which has no phase in a step of a sequence",
                fix=f"stages of a step are {', '.join(PHASED)}",
            )


def acceptor_of(parts: Sequence[Placed]) -> Placed | None:
    """The acceptor: one that leaves the rule to the draft, as a verifier brings it, gives way to one that names its own."""
    found = [p for p in parts if p.stage.role == "acceptor"]
    naming = [p for p in found if p.stage.rule != "auto"] or found
    if len(naming) > 1:
        raise PenstockError(
            f"stages {naming[0].written} and {naming[1].written} both say how drafts are accepted",
            where=naming[1].source or None,
            fix=f"leave one of them out, or the rule of {naming[0].written}",
        )
    return naming[0] if naming else None


def only(parts: Sequence[Placed], role: str) -> Placed | None:
    """The one stage of a role, or none; two are an error naming both."""
    found = [p for p in parts if p.stage.role == role]
    if len(found) > 1:
        raise PenstockError(
            f"stages {found[0].name} and {found[1].name} are both {role}s of one step",
            where=found[1].source or None,
            fix=f"keep one {role}",
        )
    return found[0] if found else None
