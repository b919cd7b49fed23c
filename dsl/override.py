"""Single values of a spec given from outside: ``stage.field=value``, as ``-o`` on the command line."""

from collections.abc import Sequence
from typing import Any

from penstock.dsl.located import LocatedList, LocatedMap
from penstock.dsl.read import read
from penstock.dsl.registry import nearest
from penstock.ir.errors import PenstockError

TOP = ("models", "views", "generate")
"""What else than stages a path may begin with."""
FORM = "write it as in -o temperature.value=0.5, -o drafter.model.length=4 or -o generate.seed=1"


def override(written: LocatedMap, given: Sequence[str]) -> None:
    """Put the values into a spec that was read and not yet validated. Raises PenstockError naming what is not there."""
    for text in given:
        path, sign, value = text.partition("=")
        where = f"-o {text}"
        *holders, last = path.split(".")
        if not sign or not holders or not all((*holders, last)):
            raise PenstockError("not of the form stage.field=value", where=where, fix=FORM)
        found = read(value, where) if value.strip() else ""
        holder(written, holders, where).put(last, where, found, where)


def holder(written: LocatedMap, names: list[str], where: str) -> LocatedMap:
    """The mapping that a path without its last name leads to."""
    if names[0] in TOP:
        found, rest = entered(written, names[0], where), names[1:]
    else:
        found, rest = fields_of(written, names, where)
    for name in rest:
        found = entered(found, name, where)
    return found


def entered(outer: LocatedMap, name: str, where: str) -> LocatedMap:
    """The mapping under a name, made if there is nothing."""
    inner = outer.get(name)
    if inner is None:
        inner = LocatedMap(where)
        outer.put(name, where, inner, where)
    if not isinstance(inner, LocatedMap):
        raise PenstockError(f"{name} is {inner!r} and has no fields", where=where, fix=FORM)
    return inner


def fields_of(written: LocatedMap, names: list[str], where: str) -> tuple[LocatedMap, list[str]]:
    """The fields of the one stage that a path begins with, by its kind, the end of its kind or its node; and what is left."""
    places = stages_of(written)
    for length in (2, 1):
        called = ".".join(names[:length])
        fitting = [place for place in places if called in place.names]
        if len(fitting) > 1:
            fix = "name the stages as nodes, or change the spec"
            raise PenstockError(f"{called} may be any of {len(fitting)} stages", where=where, fix=fix)
        if fitting:
            return fitting[0].fields(where), names[length:]
    known = list(dict.fromkeys(place.kind for place in places))
    short = list(dict.fromkeys(name for place in places for name in place.names if "." not in name))
    fix = nearest(names[0], [*short, *TOP]) or nearest(".".join(names[:2]), known) or f"there are {', '.join([*known, *TOP])}"
    raise PenstockError(f"the pipeline has no stage {names[0]}", where=where, fix=fix)


class Written:
    """A stage as written: at a key or an index of what holds it."""

    def __init__(self, holder: LocatedMap | LocatedList, key: Any, node: str | None) -> None:
        self.holder, self.key = holder, key
        value = holder[key]
        self.kind = str(next(iter(value), "")) if isinstance(value, dict) else str(value)
        self.names = {self.kind, self.kind.rpartition(".")[2]} | ({node} if node else set())

    def fields(self, where: str) -> LocatedMap:
        """Its fields, of whatever form it is written in."""
        value: Any = self.holder[self.key]
        if not isinstance(value, LocatedMap):
            place = getattr(value, "place", where)
            value = LocatedMap(place)
            value.put(self.kind, place, None, place)
            self.holder[self.key] = value
        return entered(value, self.kind, where)


def stages_of(written: LocatedMap) -> list[Written]:
    """The stages of a chain, or of a graph under ``pipeline`` or at the top."""
    chain = written.get("pipeline", written)
    if isinstance(chain, LocatedList):
        return [Written(chain, index, None) for index in range(len(chain))]
    nodes = chain.get("nodes") if isinstance(chain, LocatedMap) else None
    return [Written(nodes, name, name) for name in nodes] if isinstance(nodes, LocatedMap) else []
