"""At constant temperature 0 selection is an argmax: what keeps the likeliest token the likeliest is dropped, with all noise.

Token-preserving, because every rule of the walker keeps the argmax where target and draft are one-hot. Penalties, biases and
typical-p stay: they may move the argmax.
"""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, fx

from penstock.ir.ops.logits import greedy, scale, softmax, top_ids, top_k, top_p
from penstock.ir.ops.random import foresee, largest, race
from penstock.ir.ops.threshold import min_p
from penstock.ir.ops.tree import tip_row
from penstock.ir.region import Region
from penstock.passes.optimise.optimisation import Finding
from penstock.passes.optimise.rule import Equation, Logits, RulePass, rule


@rule(literals={"k": (1, 3)})
def top_k_of_one(x: Logits, k: int) -> Equation:
    """One token is left already."""
    return top_k(greedy(x), k), greedy(x)


@rule(literals={"p": (0.1, 0.9)})
def top_p_of_one(x: Logits, p: float) -> Equation:
    """One token is left already."""
    return top_p(greedy(x), p), greedy(x)


@rule(literals={"p": (0.1, 0.9)})
def min_p_of_one(x: Logits, p: float) -> Equation:
    """One token is left already."""
    return min_p(greedy(x), p), greedy(x)


@rule(literals={"k": (1, 3)})
def likeliest_of_top_k(x: Logits, k: int) -> Equation:
    """The likeliest is among the k likeliest."""
    return greedy(top_k(x, k)), greedy(x)


@rule(literals={"p": (0.1, 0.9)})
def likeliest_of_top_p(x: Logits, p: float) -> Equation:
    """The likeliest is never cut."""
    return greedy(top_p(x, p)), greedy(x)


@rule(literals={"p": (0.1, 0.9)})
def likeliest_of_min_p(x: Logits, p: float) -> Equation:
    """The likeliest is as likely as itself."""
    return greedy(min_p(x, p)), greedy(x)


ADDRESS = {
    "tip": (0, 1),
    "stage": ("drafter.model.0",),
    "purpose": ("draft",),
    "at": ((5, 1),),
}


@rule(literals=ADDRESS)
def certain_race(x: Float[Tensor, "B T V"], tip: int, key: Int[Tensor, "B"], stage: str, purpose: str, at: Any) -> Equation:
    """A race that only one can win needs no noise."""
    return race(tip_row(softmax(greedy(x)), tip), key, stage, purpose, at), largest(x, tip)


@rule(literals=ADDRESS)
def certain_guess(x: Float[Tensor, "B T V"], tip: int, key: Int[Tensor, "B"], stage: str, purpose: str, at: Any) -> Equation:
    """A guess at a race that only one can win."""
    return foresee(tip_row(softmax(greedy(x)), tip), key, stage, purpose, at), largest(x, tip)


@rule(literals={"t": (0.0, 0.3, 1.0, 4.0, 1e30), "each": (1, 3)})
def tempered_ranking(x: Float[Tensor, "B T V"], t: float, each: int) -> Equation:
    """A temperature changes no ranking, because the logits settle its ties anyway."""
    return top_ids(x, scale(x, t), each), top_ids(x, None, each)


@rule(literals={"each": (1, 3)})
def greedy_ranking(x: Float[Tensor, "B T V"], each: int) -> Equation:
    """The likeliest first, and the rest as the logits have it: the ranking by the logits."""
    return top_ids(x, greedy(x), each), top_ids(x, None, each)


RULES = (
    top_k_of_one,
    top_p_of_one,
    min_p_of_one,
    likeliest_of_top_k,
    likeliest_of_top_p,
    likeliest_of_min_p,
    certain_race,
    certain_guess,
    tempered_ranking,
    greedy_ranking,
)


class ArgmaxInvariance(RulePass):
    """The rules, and one on regions: a walk over ``greedy(x)`` is the greedy walk over x."""

    def run(self, graph: fx.Graph) -> list[Finding]:
        found = super().run(graph)
        return [*found, *(finding for node in graph.nodes if is_walk(node) for finding in greedy_walk(node))]


def is_walk(node: fx.Node) -> bool:
    return isinstance(node.target, Region) and node.target.data["label"] == "walk" and not node.target.data.get("greedy")


def greedy_walk(node: fx.Node) -> list[Finding]:
    """Have a walk over one-hot logits select by argmax."""
    region: Region = node.target  # type: ignore[assignment]
    place = len(region.carried) + region.data["given"].index("composed")
    composed: Any = node.args[place]
    if composed.target is not greedy:
        name = getattr(composed.target, "__name__", composed.name)
        return [Finding("greedy_walk", node, False, f"it selects from what {name} leaves, which is not one token")]
    node.update_arg(place, composed.args[0])
    region.data["greedy"] = True
    return [Finding("greedy_walk", node, True)]


ARGMAX_INVARIANCE = ArgmaxInvariance("argmax_invariance", RULES)
