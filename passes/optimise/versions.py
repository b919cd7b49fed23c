"""What a handle has been through in a step: the ops that made its versions, in regions at any depth too."""

from collections.abc import Iterator
from typing import Any

from torch import fx

from penstock.ir.region import Region


def makers(version: fx.Node) -> Iterator[tuple[fx.Node, int]]:
    """The ops that led to a version, the last first, each with the handle's place among its arguments.

    Those of a repeated region come as often as it is run.
    """
    while version.op != "placeholder":
        maker, place, earlier = step_back(version)
        if isinstance(maker.target, Region):
            for _ in range(maker.target.data.get("times", 1)):
                yield from makers(returned(maker.target, place))
        else:
            yield maker, place
        version = earlier


def beginning(version: fx.Node) -> fx.Node:
    """The parameter of the step that a version is a later one of."""
    while version.op != "placeholder":
        _, _, version = step_back(version)
    return version


def step_back(version: fx.Node) -> tuple[fx.Node, int, fx.Node]:
    """What made a version, which result and so which argument of that it is, and the version before."""
    maker, place = version.args
    earlier = maker.args[place]  # type: ignore[union-attr, index]
    return maker, place, earlier  # type: ignore[return-value]


def returned(region: Region, place: int) -> fx.Node:
    """What a region returns in a place."""
    results: Any = next(iter(reversed(region.graph.nodes))).args[0]
    node: fx.Node = results[place]
    return node


def called(version: fx.Node) -> str:
    """A handle as a reader of the report knows it."""
    name = beginning(version).name
    kind = "register" if name.startswith("reg_") else "view"
    return f"the {kind} {name.partition('_')[2]}"
