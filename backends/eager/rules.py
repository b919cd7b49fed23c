"""What each acceptance rule selects at one site, on the host."""

import math

from torch import Tensor

from penstock.backends.eager.block import block
from penstock.backends.eager.deflation import Deflation
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
    if not kids:
        return walk.select(b, d, site, target)
    draft: Tensor = walk.q[kids[0]][b]
    deflation, q = Deflation(target.weights, target.of(draft), len(kids)), draft.numpy()
    for i in kids:
        x = walk.token[b][i]
        p, drawn = target[x], float(q[x])
        if p > 0 and (p >= len(kids) * drawn or deflation.below(p / (drawn * walk.bar(b, d, i)))):
            return int(x)
    return walk.select(b, d, site, target.leaving(deflation.owed()))


def taken(walk: Walk, b: int, d: int, i: int, p: float, q: float) -> bool:
    """Whether child i is accepted, with probability ``min(1, p / q)``; a q that is no number accepts nothing."""
    return p >= q or (q > p and walk.coin(b, d, i, p / q))


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
