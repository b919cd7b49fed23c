"""From logits to the accepted token: a walk reads candidates, not rows; sites read one by one are narrowed by thresholds too.

Candidates that were spread for a walk are handed to it as they are, and the walk's own softmax and races work on them. How many
tokens top-p or min-p leave differs from site to site, so that a step's sites cannot be one tensor of them; where a backend
composes a site only when the walk comes to it, the rules of `AT_SITE` make candidates of these too.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx

from penstock.ir.ops.candidates import among, candidates, near_the_top, nucleus, spread_logits
from penstock.ir.ops.logits import top_k, top_p
from penstock.ir.ops.threshold import min_p
from penstock.ir.region import Region
from penstock.passes.dead_code import dead_code
from penstock.passes.optimise.narrow import NARROW, RULES
from penstock.passes.optimise.optimisation import Finding
from penstock.passes.optimise.rule import Equation, RulePass, rule
from penstock.passes.optimise.written import vocabulary

Site = Float[Tensor, "V"]
SHARES = {"p": (0.3, 0.9, torch.tensor(0.6))}


def whole(x: Any, **_: Any) -> str | None:
    """Why a site is not narrowed."""
    return "its logits are candidates' already" if x.target is spread_logits else None


@rule(literals=SHARES, when=whole)
def nucleus_of_a_site(x: Site, p: Any) -> Equation:
    """As many as it has, and no sort."""
    ids = nucleus(x, p)
    return top_p(x, p), spread_logits(among(x, ids), ids, vocabulary(x))


@rule(literals=SHARES, when=whole)
def likely_tokens_of_a_site(x: Site, p: Any) -> Equation:
    """A threshold below the largest logit: the others' probabilities are never computed."""
    ids = near_the_top(x, p)
    return min_p(x, p), spread_logits(among(x, ids), ids, vocabulary(x))


@rule(literals={"k": (1, 3, torch.tensor(4.0))}, when=whole)
def top_k_of_a_site(x: Site, k: Any) -> Equation:
    """Also a k that a request sets: of one site it is a number."""
    ids = candidates(x, k)
    return top_k(x, k), spread_logits(among(x, ids), ids, vocabulary(x))


OF_A_SITE = (nucleus_of_a_site, likely_tokens_of_a_site, top_k_of_a_site)
AT_SITE = RulePass("at_site", (*OF_A_SITE, *RULES))


def narrowed_site(graph: fx.Graph, vocab: int) -> None:
    """Rewrite the composition of one site, whose values have no leading dimensions, in place."""
    AT_SITE.everywhere(graph, vocab)
    dead_code(graph)


class FuseSampling(RulePass):
    """Walks over candidates; its rules are for one site, and put by who reads sites one by one."""

    def run(self, graph: fx.Graph) -> list[Finding]:
        walks = [node for node in graph.nodes if isinstance(node.target, Region) and node.target.data["label"] == "walk"]
        return [finding for node in walks for finding in fused(node)]


def fused(node: fx.Node) -> list[Finding]:
    """Have a walk narrow the sites that it comes to, and read candidates where its logits are theirs in every site."""
    region: Region = node.target  # type: ignore[assignment]
    if region.data.get("greedy") or region.data.get("fused"):
        return [Finding("fused_walk", node, False, "it is fused" if region.data.get("fused") else "it draws nothing")]
    region.data["fused"] = True
    place = region.data["given"].index("composed")
    composed: Any = node.args[len(region.carried) + place]
    if composed.target is not spread_logits:
        return [Finding("fused_walk", node, True, "it may narrow the sites that it comes to")]
    sink(node, region, place, composed)
    return [Finding("fused_walk", node, True, "its sites are candidates"), *NARROW.everywhere(region.graph, composed.args[2])]


def sink(node: fx.Node, region: Region, place: int, spread: fx.Node) -> None:
    """Move the spreading of candidates into a region: it captures them instead of the row, under the names values and ids."""
    captured, (values, ids, size) = region.captures[place], spread.args
    with region.graph.inserting_before(captured):
        inner = [region.graph.placeholder(name) for name in ("values", "ids")]
    with region.graph.inserting_before(next(n for n in region.graph.nodes if n.op != "placeholder")):
        row = region.graph.call_function(spread_logits, (*inner, size))
    for new, old in zip((*inner, row), (values, ids, spread), strict=True):
        new.meta.update(old.meta)  # type: ignore[union-attr]
    captured.replace_all_uses_with(row)
    region.graph.erase_node(captured)
    region.captures[place : place + 1] = inner
    names, at = list(region.data["given"]), len(region.carried) + place
    region.data["given"] = (*names[:place], "values", "ids", *names[place + 1 :])
    node.args = (*node.args[:at], values, ids, *node.args[at + 1 :])


FUSE_SAMPLING = FuseSampling("fuse_sampling", OF_A_SITE)
