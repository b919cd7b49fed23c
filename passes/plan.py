"""A step before it is traced: stages with instance names, sorted into phases, and what elaboration did to them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from penstock.ir.errors import PenstockError
from penstock.ir.lift import Bound, with_values
from penstock.ir.roles import Automaton, Composer, SiteTransform
from penstock.ir.rules import RULES


@dataclass(frozen=True)
class Placed:
    """A stage at its place in one pipeline; ``name`` is its kind and its occurrence, the stage part of noise addresses."""

    stage: Any
    name: str
    written: str
    """The name, in the same way, of the stage as written, of which it is a part, or which it is."""

    @property
    def automaton(self) -> bool:
        return isinstance(self.stage, Automaton)

    @property
    def source(self) -> str:
        return str(getattr(self.stage, "source", None) or "")

    def wrong(self, what: str, *, fix: str) -> PenstockError:
        """The error that this stage is: ``what`` continues its name."""
        return PenstockError(f"stage {self.name}{what}", where=self.source or None, fix=fix)

    def has(self, method: str) -> bool:
        return hasattr(self.stage, method)

    def bound(self, step: Any) -> Bound:
        """The stage, the traced values of its request parameters, and where rows end if it reads that."""
        asked = tuple((field, step.asked(name)) for field, name in self.params())
        return Bound(self.stage, asked + ((("limit", step.limit),) if self.stage.bounded else ()))

    def at(self, values: Mapping[str, float], limit: int) -> Any:
        """The stage with the values that one request gives its parameters, and where the request's row ends."""
        asked = tuple((field, values[name]) for field, name in self.params())
        return with_values(self.stage, asked + ((("limit", limit),) if self.stage.bounded else ()))

    def params(self) -> Iterator[tuple[str, str]]:
        """``(field, request parameter)`` for every field that a request sets."""
        for field in type(self.stage).model_fields:
            if (name := getattr(getattr(self.stage, field), "param", None)) is not None:
                yield field, name

    @property
    def shapes(self) -> bool:
        """Whether it changes logits; a gate, a marker or a tap only reads them."""
        return isinstance(self.stage, Composer | SiteTransform) or self.automaton and self.has("read")

    @property
    def mirrors(self) -> bool:
        """Whether a drafter can apply it: it shapes single sites, and needs no raw logits of the target."""
        stage = self.stage
        if self.automaton:
            return self.has("read") and not stage.raw_wanted
        return isinstance(stage, SiteTransform)


@dataclass(frozen=True)
class Plan:
    """The phases of one step; ``rule`` is as declared until `sink_accept` has named one."""

    stages: tuple[Placed, ...]
    drafter: Placed | None = None
    scorers: tuple[Placed, ...] = ()
    compose: tuple[Placed, ...] = ()
    """Transforms and gates in the order they read and write sites."""
    accepted: tuple[Placed, ...] = ()
    """The same stages in the order that the acceptor's version of the logits takes them."""
    mirrored: tuple[Placed, ...] = ()
    acceptor: Placed | None = None
    rule: str = "auto"
    kind: Literal["sequence", "canvas", "frontier"] = "sequence"
    """What rows of it are."""
    notes: tuple[str, ...] = ()

    @property
    def drafters(self) -> tuple[tuple[str, Any], ...]:
        """Every stage that drafts tokens, by name: those that a drafter chooses among, not itself."""
        return tuple(drafting_in(self.drafter.name, self.drafter.stage)) if self.drafter else ()

    @property
    def selects(self) -> str:
        """The stage part of the addresses of selections."""
        return self.acceptor.name if self.acceptor else "accept"

    @property
    def foreseen(self) -> bool:
        """Whether drafts are drawn on the noise of the selections."""
        return self.rule in RULES and RULES[self.rule].foreseen

    @property
    def approximating(self) -> tuple[str, ...]:
        """The stages that break what the reference promises."""
        return tuple(p.name for p in self.stages if p.stage.effect == "approximates")

    @property
    def drafting(self) -> frozenset[str]:
        """The views that only the drafter reads: what it does in them is not the reference's work."""
        users = [(p, view) for p in self.stages for view in p.stage.views()]
        return frozenset(view for p, view in users if p is self.drafter) - {view for p, view in users if p is not self.drafter}

    @property
    def room(self) -> int:
        """In-step nodes of the largest step: what stages draft and probe, then what they score once more at every site."""
        nodes: int = sum(p.stage.room for p in self.stages)
        more: int = sum(p.stage.room_a_site for p in self.stages)
        return nodes + (1 + nodes) * more

    @property
    def params(self) -> tuple[str, ...]:
        """The request parameters that stages of the step read."""
        return tuple(dict.fromkeys(name for p in self.stages for _, name in p.params()))

    def but(self, *notes: str, **changes: Any) -> "Plan":
        return replace(self, notes=self.notes + notes, **changes)


def drafting_in(name: str, stage: Any) -> Iterator[tuple[str, Any]]:
    """The drafters that a drafter holds, at any depth, or itself where it holds none."""
    held = {field: getattr(stage, field) for field in type(stage).model_fields}
    inner = {field: value for field, value in held.items() if getattr(value, "role", None) == "drafter"}
    if not inner:
        yield name, stage
    for field, value in inner.items():
        yield from drafting_in(f"{name}.{field}", value)
