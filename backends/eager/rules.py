"""What each acceptance rule selects at one site, on the host."""

import math

import torch
from torch import Tensor

from penstock.backends.eager.block import block
from penstock.backends.eager.walk import Choose, Walk, drawn
from penstock.ir.ops.accept import TINY, typical_floor


def greedy(walk: Walk, b: int, d: int, site: int, kids: list[int]) -> int:
    """Target and draft are one-hot: every rule keeps the argmax."""
    row, ids = walk.composed.array(b, site)
    chosen = int(row.argmax())
    if not math.isfinite(row[chosen]):
        raise walk.unsupported(b, site)
    return chosen if ids is None else int(ids[chosen])


def kseq(walk: Walk, b: int, d: int, site: int, kids: list[int]) -> int:
    """`KSeq`: coins against the deflated ratio, then what is owed."""
    target = walk.target(b, site)
    if kids:
        draft: Tensor = walk.q[kids[0]][b]
        near = target.of(draft)
        rho, q = deflation(target.weights, near, len(kids)) if len(kids) > 1 else 1.0, draft.numpy()
        for i in kids:
            x = walk.token[b][i]
            p = target[x]
            if p > 0 and taken(walk, b, d, i, p, rho * float(q[x])):
                return int(x)
        target = target.leaving(owed(target.weights, near, rho, len(kids)))
    return walk.select(b, d, site, target)


def taken(walk: Walk, b: int, d: int, i: int, p: float, q: float) -> bool:
    """Whether child i is accepted, with probability ``min(1, p / q)``; a q that is no number accepts nothing."""
    return p >= q or (q > p and walk.coin(b, d, i, p / q))


def owed(target: Tensor, draft: Tensor, rho: float, count: int) -> Tensor:
    """What ``count`` refused children leave of the target; the target itself where nothing is owed."""
    if count == 1:
        rest = (target - draft).clamp_(min=0)
    else:
        taken = torch.minimum(draft, target / rho)
        mass = min(float(taken.sum()), 1.0)
        share = accepted(mass, count) / max(mass, torch.finfo(target.dtype).tiny)
        rest = target.sub(taken, alpha=share).clamp_(min=0)
    return rest if float(rest.sum()) > TINY else target


def deflation(target: Tensor, draft: Tensor, count: int) -> float:
    """The rho of `kseq_plan`, from above: Illinois steps to where its bisection ends."""

    def excess(rho: float) -> float:
        mass = min(float(torch.minimum(draft, target / rho).sum()), 1.0)
        return accepted(mass, count) - rho * mass

    low, high = 1.0, float(count)
    above, below, side = excess(low), excess(high), 0
    while high - low > 1e-7 * high and above > 0 > below:
        middle = high - below * (high - low) / (below - above)
        found = excess(middle)
        if found > 0:
            low, above, below, side = middle, found, below / 2 if side < 0 else below, -1
        else:
            high, below, above, side = middle, found, above / 2 if side > 0 else above, 1
    return high if above > 0 else low


def accepted(mass: float, count: int) -> float:
    """That one of ``count`` tries hits: ``1 - (1 - mass)^count``, also where the mass is too small for that."""
    return -math.expm1(count * math.log1p(-mass)) if mass < 1 else 1.0


def recursive(walk: Walk, b: int, d: int, site: int, kids: list[int]) -> int:
    """`Recursive`: owe what the draft took, then shrink the draft, child after child."""
    target = walk.target(b, site)
    draft: Tensor = walk.q[kids[0]][b].clone() if kids else target.weights
    for i in kids:
        x = walk.token[b][i]
        p = target[x]
        if p > 0 and taken(walk, b, d, i, p, float(draft[x])):
            return int(x)
        rest = (target.weights - target.of(draft)).clamp_(min=0)
        total = rest.sum()
        target = target.leaving(rest / total) if float(total) > TINY else target
        draft[x] = 0
        left = draft.sum()
        draft = draft / left if float(left) > 0 else draft
    return walk.select(b, d, site, target)


def by_law(walk: Walk, b: int, d: int, site: int, kids: list[int]) -> int:
    """`ByLaw`: the row's own rule."""
    return RULES[walk.rule.among[walk.law[b]].name](walk, b, d, site, kids)


def typical(walk: Walk, b: int, d: int, site: int, kids: list[int]) -> int:
    """`Typical`: the first child that is likely enough, else one draw."""
    target = walk.target(b, site)
    if kids:
        floor = float(typical_floor.meaning(target.weights[None], walk.rule.epsilon, walk.rule.delta))
        for x in (walk.token[b][i] for i in kids):
            if target[x] > floor:
                return int(x)
    return walk.select(b, d, site, target)


RULES: dict[str, Choose] = {
    "greedy": greedy,
    "kseq": kseq,
    "block": block,
    "match": drawn,
    "coupled": drawn,
    "recursive": recursive,
    "typical": typical,
    "by_law": by_law,
}
