"""Block verification on the host: the plan of a row's path when its walk begins, then one coin a site."""

from dataclasses import dataclass

from torch import Tensor

from penstock.backends.eager.target import Target
from penstock.backends.eager.walk import Walk
from penstock.ir.ops.accept import TINY


@dataclass(slots=True)
class Planned:
    """One site of the path: its target, what its child was drawn from, its weight, and its child's chance."""

    target: Target
    draft: Tensor | None
    weight: float
    chance: float = 0.0

    def owed(self) -> Tensor:
        """``max(w t - d, 0)``."""
        assert self.draft is not None
        return (self.weight * self.target.weights - self.target.of(self.draft)).clamp_(min=0)


def block(walk: Walk, b: int, d: int, site: int, kids: list[int]) -> int:
    """`Block`: the child by its coin, else what its prefix still owes."""
    if d == 0:
        walk.plan = plan_of(walk, b)
    here: Planned = walk.plan[d]
    if not kids:
        return walk.select(b, d, site, here.target)
    if here.chance >= 1 or walk.coin(b, d, kids[0], here.chance):
        return int(walk.token[b][kids[0]])
    owed = here.owed()
    return walk.select(b, d, site, here.target.leaving(owed) if float(owed.sum()) > TINY else here.target)


def plan_of(walk: Walk, b: int) -> list[Planned]:
    """`block_plan` of one row: every site that the walk can come to, root first."""
    below, site, weight = walk.children(b), 0, 1.0
    path: list[Planned] = []
    while site >= 0:
        kids = below.get(site, [])
        target, draft = walk.target(b, site), walk.q[kids[0]][b] if kids else None
        path.append(Planned(target, draft, weight))
        if draft is None:
            break
        x = walk.token[b][kids[0]]
        likely, drawn = weight * target[x], float(draft[x])
        weight = 1.0 if likely >= drawn else likely / drawn
        site = walk.onward(b, site, len(path), kids, x)
    fill_chances(path, stays=weight)
    return path


def fill_chances(path: list[Planned], stays: float) -> None:
    """Leaf to root: ``stays`` is the chance that some prefix from the child on stays."""
    for here in reversed(path):
        if here.draft is None:
            continue
        owed = float(here.owed().sum())
        own = owed / (owed + 1 - here.weight) if here.weight < 1 else 1.0
        reached = own + (1 - own) * stays
        here.chance, stays = min(1.0, stays / reached) if reached > 0 else 0.0, reached
