"""Once top-k is in the chain, what follows works on k candidates a site instead of the whole vocabulary.

``top_k`` becomes candidates spread over a row; whatever treats tokens alike moves to the candidates, and what is left of the row
goes where nobody reads it: a race, which has noise for each token, is run among the candidates.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, fx

from penstock.ir.draft import fertile
from penstock.ir.ops.candidates import among, candidates, shaped_candidates, spread_chances, spread_logits
from penstock.ir.ops.history import additive_penalty
from penstock.ir.ops.logits import COLDEST, greedy, log_softmax, repetition_penalty, scale, softmax, top_k, top_p
from penstock.ir.ops.random import foresee, foresee_among, race, race_among
from penstock.ir.ops.rows import at
from penstock.ir.ops.threshold import epsilon_cut, eta_cut, min_p, typical_p
from penstock.ir.ops.tree import tip_row
from penstock.passes.optimise.rule import Equation, Logits, RulePass, rule
from penstock.passes.optimise.written import vocabulary

Few = Float[Tensor, "*B K"]
Ids = Int[Tensor, "*B K"]
SIZE = {"size": (11,)}
SHARES = {**SIZE, "p": (0.3, 0.9, torch.tensor([0.2, 0.7]))}
ALPHAS = {**SIZE, "alpha": (0.6, 1.4, torch.tensor([0.8, 1.2]))}
PLACE = {**SIZE, "stage": ("verifier.model.0",), "purpose": ("select",), "at": ((5,),)}


def some_ids(*lead: int) -> dict[str, Any]:
    """Five ascending ids of eleven, for every entry of these leading dimensions."""
    return {"i": lambda draws: torch.rand(*lead, 11, generator=draws).argsort(-1)[..., :5].sort(-1).values}


SITES, TIPS, ROWS = some_ids(2, 3), some_ids(3, 4), some_ids(3)


def narrows(x: Any, k: int, t: float = 1.0, **_: Any) -> str | None:
    """Why a top-k makes no candidates."""
    if isinstance(x, fx.Node) and x.target is spread_logits:
        return "its logits are candidates' already"
    if t < COLDEST:
        return f"the temperature is {t}"
    size = vocabulary(x)
    return None if k < size else f"it keeps {k} of {size} tokens"


KS, TS, AS = {"k": (1, 3)}, {"t": (0.7, 1.3)}, {"a": (0.7, 1.3)}


@rule(literals={**KS, **TS, **AS}, when=narrows, follows=True)
def penalised_and_scaled_top_k(x: Logits, seen: Bool[Tensor, "*B V"], a: float, t: float, k: int) -> Equation:
    """Only what may be among the k largest is penalised and divided."""
    values, ids = shaped_candidates(x, seen, a, t, k)
    return top_k(scale(repetition_penalty(x, seen, a), t), k), spread_logits(values, ids, vocabulary(x))


@rule(literals={**KS, **TS}, when=narrows, follows=True)
def scaled_top_k(x: Logits, t: float, k: int) -> Equation:
    """Only what may be among the k largest is divided."""
    values, ids = shaped_candidates(x, None, 1.0, t, k)
    return top_k(scale(x, t), k), spread_logits(values, ids, vocabulary(x))


@rule(literals={**KS, **AS}, when=narrows, follows=True)
def penalised_top_k(x: Logits, seen: Bool[Tensor, "*B V"], a: float, k: int) -> Equation:
    """Only what may be among the k largest is penalised."""
    values, ids = shaped_candidates(x, seen, a, 1.0, k)
    return top_k(repetition_penalty(x, seen, a), k), spread_logits(values, ids, vocabulary(x))


@rule(literals=KS, when=narrows)
def top_k_is_candidates(x: Logits, k: int) -> Equation:
    """The k largest are found without a sort, and k numbers are passed on."""
    ids = candidates(x, k)
    return top_k(x, k), spread_logits(among(x, ids), ids, vocabulary(x))


@rule(literals={**SIZE, "t": (0.0, 0.7, torch.tensor([0.0, 1.3]))}, inputs=SITES, follows=True)
def scaled_candidates(v: Few, i: Ids, size: int, t: Any) -> Equation:
    """A temperature treats tokens alike."""
    return scale(spread_logits(v, i, size), t), spread_logits(scale(v, t), i, size)


@rule(literals=SIZE, inputs=SITES, follows=True)
def likeliest_candidate(v: Few, i: Ids, size: int) -> Equation:
    """Ids ascend, so that the lowest is the first."""
    return greedy(spread_logits(v, i, size)), spread_logits(greedy(v), i, size)


@rule(literals={**SIZE, "k": (1, 3, 9, torch.tensor([2.0, 4.0]))}, inputs=SITES, follows=True)
def top_k_of_candidates(v: Few, i: Ids, size: int, k: Any) -> Equation:
    """Of fewer tokens."""
    return top_k(spread_logits(v, i, size), k), spread_logits(top_k(v, k), i, size)


@rule(literals=SHARES, inputs=SITES, follows=True)
def top_p_of_candidates(v: Few, i: Ids, size: int, p: Any) -> Equation:
    """The others have no probability."""
    return top_p(spread_logits(v, i, size), p), spread_logits(top_p(v, p), i, size)


@rule(literals=SHARES, inputs=SITES, follows=True)
def min_p_of_candidates(v: Few, i: Ids, size: int, p: Any) -> Equation:
    """The likeliest is a candidate."""
    return min_p(spread_logits(v, i, size), p), spread_logits(min_p(v, p), i, size)


@rule(literals=SHARES, inputs=SITES, follows=True)
def epsilon_cut_of_candidates(v: Few, i: Ids, size: int, p: Any) -> Equation:
    """The others have no probability."""
    return epsilon_cut(spread_logits(v, i, size), p), spread_logits(epsilon_cut(v, p), i, size)


@rule(literals=SHARES, inputs=SITES, follows=True)
def eta_cut_of_candidates(v: Few, i: Ids, size: int, p: Any) -> Equation:
    """What is impossible adds nothing to an entropy."""
    return eta_cut(spread_logits(v, i, size), p), spread_logits(eta_cut(v, p), i, size)


@rule(literals=SHARES, inputs=SITES, follows=True)
def typical_p_of_candidates(v: Few, i: Ids, size: int, p: Any) -> Equation:
    """What is impossible adds nothing to an entropy, and is furthest from it."""
    return typical_p(spread_logits(v, i, size), p), spread_logits(typical_p(v, p), i, size)


@rule(
    literals={**SIZE, "few": (5,)},
    inputs={**SITES, "j": lambda draws: torch.rand(2, 3, 5, generator=draws).argsort(-1)[..., :3].sort(-1).values},
    follows=True,
)
def candidates_of_candidates(w: Float[Tensor, "*B J"], j: Int[Tensor, "*B J"], few: int, i: Ids, size: int) -> Equation:
    """Places among candidates are places among all, and ascend with them."""
    return spread_logits(spread_logits(w, j, few), i, size), spread_logits(w, among(i, j), size)


@rule(literals=ALPHAS, inputs=SITES, follows=True)
def penalised_candidates(v: Few, i: Ids, size: int, seen: Bool[Tensor, "*B V"], alpha: Any) -> Equation:
    """Only of candidates it matters whether they were seen."""
    narrowed = repetition_penalty(v, among(seen, i), alpha)
    return repetition_penalty(spread_logits(v, i, size), seen, alpha), spread_logits(narrowed, i, size)


@rule(literals=ALPHAS, inputs=SITES, follows=True)
def candidates_less_said(v: Few, i: Ids, size: int, said: Int[Tensor, "*B V"], alpha: Any) -> Equation:
    """Only of candidates it matters how often they were said."""
    narrowed = additive_penalty(v, among(said, i), alpha)
    return additive_penalty(spread_logits(v, i, size), said, alpha), spread_logits(narrowed, i, size)


@rule(literals=SIZE, inputs=SITES, rounds=True, follows=True)
def chances_of_candidates(v: Few, i: Ids, size: int) -> Equation:
    """The others have none."""
    return softmax(spread_logits(v, i, size)), spread_chances(softmax(v), i, size)


@rule(literals=SIZE, inputs=SITES, rounds=True, follows=True)
def log_chances_of_candidates(v: Few, i: Ids, size: int) -> Equation:
    """The others have none."""
    return log_softmax(spread_logits(v, i, size)), spread_logits(log_softmax(v), i, size)


@rule(literals=SIZE, inputs={**TIPS, "site": lambda draws: torch.tensor([2, 0, 3])}, follows=True)
def candidates_at(v: Float[Tensor, "B T K"], i: Int[Tensor, "B T K"], size: int, site: Any) -> Equation:
    """One site of them."""
    return at(spread_logits(v, i, size), site), spread_logits(at(v, site), at(i, site), size)


@rule(literals={**SIZE, "tip": (0, 2)}, inputs=TIPS, follows=True)
def candidates_of_tip(v: Float[Tensor, "B T K"], i: Int[Tensor, "B T K"], size: int, tip: int) -> Equation:
    """One tip of them."""
    return tip_row(spread_chances(v, i, size), tip), spread_chances(tip_row(v, tip), tip_row(i, tip), size)


@rule(literals=SIZE, inputs=TIPS, follows=True)
def fertile_candidates(v: Float[Tensor, "B T K"], i: Int[Tensor, "B T K"], size: int) -> Equation:
    """Support is support among them."""
    return fertile(spread_chances(v, i, size), None), fertile(v, None)


@rule(literals=SIZE, inputs=TIPS, follows=True)
def fertile_candidates_of_real(
    v: Float[Tensor, "B T K"], i: Int[Tensor, "B T K"], size: int, real: Bool[Tensor, "B T"]
) -> Equation:
    """Support is support among them."""
    return fertile(spread_chances(v, i, size), real), fertile(v, real)


@rule(literals=PLACE, inputs={**ROWS, "v": lambda draws: torch.rand(3, 5, generator=draws)}, follows=True)
def race_among_candidates(
    v: Float[Tensor, "B K"], i: Int[Tensor, "B K"], size: int, key: Int[Tensor, "B"], stage: str, purpose: str, at: Any
) -> Equation:
    """Noise is each token's own, so that the winner is the same."""
    return race(spread_chances(v, i, size), key, stage, purpose, at), race_among(v, i, key, stage, purpose, at)


@rule(literals=PLACE, inputs={**ROWS, "v": lambda draws: torch.rand(3, 5, generator=draws)}, follows=True)
def guess_among_candidates(
    v: Float[Tensor, "B K"], i: Int[Tensor, "B K"], size: int, key: Int[Tensor, "B"], stage: str, purpose: str, at: Any
) -> Equation:
    """Noise is each token's own, so that the guess is the same."""
    return foresee(spread_chances(v, i, size), key, stage, purpose, at), foresee_among(v, i, key, stage, purpose, at)


RULES = (
    penalised_and_scaled_top_k,  # the longest first
    scaled_top_k,
    penalised_top_k,
    top_k_is_candidates,
    scaled_candidates,
    likeliest_candidate,
    top_k_of_candidates,
    top_p_of_candidates,
    min_p_of_candidates,
    epsilon_cut_of_candidates,
    eta_cut_of_candidates,
    typical_p_of_candidates,
    candidates_of_candidates,
    penalised_candidates,
    candidates_less_said,
    chances_of_candidates,
    log_chances_of_candidates,
    candidates_at,
    candidates_of_tip,
    fertile_candidates,
    fertile_candidates_of_real,
    race_among_candidates,
    guess_among_candidates,
)
NARROW = RulePass("narrow", RULES)
