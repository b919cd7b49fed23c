"""Logits of a few tokens instead of the whole vocabulary: which tokens, what is known of them, and the row they stand for.

Ids ascend, so that an op that treats tokens alike and settles ties by the lowest position means the same on candidates as on
the row that they are spread over: ``f(spread_logits(v, i)) = spread_logits(f(v), i)``. How many tokens a threshold leaves is
known of one site only, where it is read.
"""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.logits import repetition_penalty, scale, top_p
from penstock.ir.ops.threshold import min_p


@op()
def candidates(logits: Float[Tensor, "*B V"], k: int | Float[Tensor, ""]) -> Int[Tensor, "*B K"]:
    """The ids of the k largest logits, of those that tie the lowest, in ascending order; of all where there are fewer than k."""
    order = logits.sort(dim=-1, descending=True, stable=True).indices
    return order[..., : int(k)].sort(-1).values


@op()
def shaped_candidates(
    logits: Float[Tensor, "*B V"], seen: Bool[Tensor, "*B V"] | None, alpha: float, temperature: float, k: int
) -> tuple[Float[Tensor, "*B K"], Int[Tensor, "*B K"]]:
    """The k largest of ``scale(repetition_penalty(logits, seen, alpha), temperature)``, above 0, and their ids as `candidates`.

    None: nothing was seen.
    """
    penalised = logits if seen is None else repetition_penalty.meaning(logits, seen, alpha)
    shaped = scale.meaning(penalised, temperature)
    ids = candidates.meaning(shaped, k)
    return shaped.gather(-1, ids), ids


@op()
def among(values: Shaped[Tensor, "*B V"], ids: Int[Tensor, "*B K"]) -> Shaped[Tensor, "*B K"]:
    """What candidates have of a whole row."""
    return values.gather(-1, ids)


@op()
def spread_logits(values: Float[Tensor, "*B K"], ids: Int[Tensor, "*B K"], size: int) -> Float[Tensor, "*B V"]:
    """The row of ``size`` logits that candidates stand for: -inf elsewhere."""
    return values.new_full((*values.shape[:-1], size), -torch.inf).scatter_(-1, ids, values)


@op()
def spread_chances(chances: Float[Tensor, "*B K"], ids: Int[Tensor, "*B K"], size: int) -> Float[Tensor, "*B V"]:
    """The distribution over ``size`` tokens that candidates stand for: 0 elsewhere."""
    return chances.new_zeros((*chances.shape[:-1], size)).scatter_(-1, ids, chances)


@op()
def supported(logits: Float[Tensor, "V"]) -> Int[Tensor, "K"]:
    """The tokens of one site that are not -inf, ascending; all where none is left, so that whoever draws sees it."""
    ids = torch.nonzero(~logits.isneginf())[:, 0]
    return ids if len(ids) else torch.arange(len(logits))


@op()
def nucleus(logits: Float[Tensor, "V"], p: float | Float[Tensor, ""]) -> Int[Tensor, "K"]:
    """The tokens of one site that `top_p` leaves, ascending."""
    return supported.meaning(top_p.meaning(logits, p))  # type: ignore[no-any-return]


@op()
def near_the_top(logits: Float[Tensor, "V"], p: float | Float[Tensor, ""]) -> Int[Tensor, "K"]:
    """The tokens of one site that `min_p` leaves, ascending."""
    return supported.meaning(min_p.meaning(logits, p))  # type: ignore[no-any-return]
