"""How each walk of a step is run on the CPU, and why.

*lockstep*: all rows and depths in one region, as a device wants it. *sites*: on the host, and each site that it comes to is one
compiled call. *host*: as the eager backend has it, whose kernels do without sorts and find an argmax sooner than a call begins.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import fx

from penstock.backends.eager.lazy import deferred
from penstock.backends.inductor.portable import reads_text
from penstock.ir.op import Op
from penstock.ir.ops.candidates import spread_logits
from penstock.ir.ops.logits import top_k, top_p
from penstock.ir.ops.threshold import min_p
from penstock.ir.region import Region
from penstock.ir.rules import Rule

NARROWING = (spread_logits, top_k, top_p, min_p)
"""What has candidates of a site, for which the host has kernels; compiled, most of these sort the vocabulary."""


@dataclass(frozen=True)
class Way:
    """How a walk is run."""

    name: Literal["lockstep", "sites", "host"]
    why: str

    def __str__(self) -> str:
        where = {"lockstep": "in lockstep", "sites": "on the host, its sites compiled", "host": "on the host"}[self.name]
        return f"{where}: {self.why}"


def walks(graph: fx.Graph) -> list[fx.Node]:
    """The walks of a step that are regions still."""
    return [node for node in graph.nodes if isinstance(node.target, Region) and node.target.data["label"] == "walk"]


def way(walk: fx.Node, lockstep: bool = False) -> Way:
    """The fastest on this host; with ``lockstep``, that."""
    if lockstep:
        return Way("lockstep", "it is asked for")
    if (why := asks(walk)) is not None:
        return Way("host", why)
    region: Region = walk.target  # type: ignore[assignment]
    if region.data.get("greedy"):
        return Way("host", "an argmax of the few sites that it reads takes less than a call")
    if narrowed(walk):
        return Way("host", "it draws among candidates, for which the host has kernels")
    if "token" not in region.data["given"]:
        return Way("lockstep", "every row reads its one site")
    rule: Rule = region.data["rule"]
    if rule.tests_children:
        return Way("host", f"rule {rule.name} mostly takes a child before anything is drawn, where compiled code does both")
    return Way("sites", "rows read few of a draft's sites, and end apart")


def asks(walk: fx.Node) -> str | None:
    """Why a walk cannot be compiled: what answers is on the host, or no shape is fixed."""
    given = captured(walk)
    if "composed" not in given:
        return None
    for node in deferred((given["composed"],)):
        if isinstance(node.target, Op) and node.target.category == "host":
            return f"{node.meta['stage']} is asked on the host, site by site"
        if reads_text(node):
            return f"{node.meta['stage']} reads the whole text, which grows"
    return None


def narrowed(walk: fx.Node) -> bool:
    """Whether a site is left with few tokens to draw among, before the walk or when it comes there."""
    given = captured(walk)
    if "values" in given:
        return True
    composed = given["composed"]
    return any(node.target in NARROWING for node in (composed, *deferred((composed,))))


def captured(walk: fx.Node) -> dict[str, Any]:
    """What a walk names of what it captures."""
    region: Region = walk.target  # type: ignore[assignment]
    count, names = len(region.carried), region.data["given"]
    return dict(zip(names, walk.args[count : count + len(names)], strict=True))
