"""The walk on the host: row by row, root to leaf, with early exit; only sites that are reached are read.

Same noise, same rules and same result as the region it stands for (tested on equal noise).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from penstock.backends.eager.lazy import Site
from penstock.backends.eager.places import Columns, Kernel, Numbers, kernel
from penstock.backends.eager.race import winners_among
from penstock.backends.eager.target import Target
from penstock.ir.errors import PenstockError
from penstock.ir.noise import address, exponential
from penstock.ir.ops.logits import softmax
from penstock.ir.region import Region


@dataclass(slots=True)
class Walk:
    """What one walk reads, rows first."""

    composed: Site
    length: Numbers
    steps: Numbers
    key: Numbers
    limit: Numbers
    live: Numbers
    last: Numbers = None
    closed: Numbers = None
    token: Numbers = None
    parent_site: Numbers = None
    site: Numbers = None
    rank: Numbers = None
    valid: Numbers = None
    q: Columns = None
    law: Numbers = None
    stage: str = ""
    source: str = ""
    rule: Any = None
    """Read for what it knows of itself, never of the draft."""
    plan: Any = None
    """What the rule found of the row's whole draft, where it looks ahead."""
    first: Numbers = None
    """What every row's root was drawn, where roots are drawn together."""
    known: Any = None
    """The last row's parents, which were valid, and the children found of them."""

    def row(self, b: int, choose: "Choose") -> tuple[list[int], list[int]]:
        """``(tokens, sites they were selected from)`` of one row."""
        below, site = self.children(b), 0
        tokens: list[int] = []
        nodes: list[int] = []
        while site >= 0:
            kids = below.get(site, [])
            chosen = choose(self, b, len(tokens), site, kids)
            tokens.append(chosen)
            nodes.append(site)
            site = self.onward(b, site, len(tokens), kids, chosen)
        return tokens, nodes

    def children(self, b: int) -> dict[int, list[int]]:
        """Valid nodes by parent site, in draw order; found once where rows hold the very same numbers, which nobody changes."""
        if self.token is None:
            return {}
        parents, valid = self.parent_site[b], self.valid[b]
        if self.known is None or self.known[0] is not parents or self.known[1] is not valid:
            self.known = parents, valid, children(tuple(parents), tuple(valid))
        below: dict[int, list[int]] = self.known[2]
        return below

    def onward(self, b: int, site: int, count: int, kids: list[int], chosen: int) -> int:
        """The site the chosen token leads to, or -1 where the path ends."""
        for node in kids:
            if self.token[b][node] == chosen:
                break
        else:
            return -1
        below: int = self.site[b][node]
        ended = self.length[b] + count >= self.limit[b] or self.last is not None and self.last[b][site]
        return -1 if ended or self.closed is not None and self.closed[b][below] else below

    def coin(self, b: int, d: int, node: int, p: float) -> bool:
        """Whether the race of ``1 - p`` against ``p`` is won by ``p``, for a child at depth d."""
        return p >= 1 or p > 0 and p > self.bar(b, d, node)

    def bar(self, b: int, d: int, node: int) -> float:
        """What p has to exceed for its coin to come up: it wins where ``yes / p < no / (1 - p)``."""
        word = address(self.key[b], self.stage, "accept", (self.steps[b], d, self.rank[b][node]))
        no, yes = exponential(word, 0), exponential(word, 1)
        return yes / (yes + no)

    def target(self, b: int, site: int) -> Target:
        """What the site's token is to be distributed like."""
        logits, ids = self.composed(b, site)
        return Target(softmax.meaning(logits), ids)

    def select(self, b: int, d: int, site: int, target: Target) -> int:
        """The race for position ``length + d``."""
        chosen = target.winner(address(self.key[b], self.stage, "select", (self.length[b] + d,)))
        if chosen < 0:
            raise self.unsupported(b, site)
        return chosen

    def unsupported(self, row: int, site: int) -> PenstockError:
        """The error of a row that nothing can be drawn for: the user's to know."""
        what, fix = f"row {row} has no support: no token is allowed", "loosen the masks before it"
        logits, _ = self.composed(row, site)
        if bool(logits.isnan().any() | logits.isposinf().any()):
            what = f"the logits of row {row} are {'NaN' if bool(logits.isnan().any()) else 'infinite'}"
            fix = "check the model's weights and precision, and the transforms after it"
        return PenstockError(f"stage {self.stage}: {what}", where=self.source or None, fix=fix)


Choose = Callable[[Walk, int, int, int, list[int]], int]
"""The token a rule selects: of row b, at depth d, at a site, with these children."""


@lru_cache(maxsize=64)
def children(parent_site: tuple[int, ...], valid: tuple[bool, ...]) -> dict[int, list[int]]:
    """Valid nodes by parent site; of most drafts the same in every row and step."""
    found: dict[int, list[int]] = {}
    for i, parent in enumerate(parent_site):
        if valid[i]:
            found.setdefault(parent, []).append(i)
    return found


def walk(region: Region, rules: dict[str, Choose]) -> Kernel:
    """The kernel for one walk region; a rule that throws no coins reads neither what was drawn from nor in which order."""
    stage, times, rule = region.data["stage"], region.data["times"], region.data["rule"]
    greedy = region.data.get("greedy", False) or rule.name == "greedy"
    choose, coins = rules["greedy" if greedy else rule.name], rule.tests_children and not greedy

    def run(**given: Any) -> tuple[list[Any], ...]:
        read = Walk(stage=stage, source=region.data["source"], rule=rule, **given)
        rule_of = drawn if read.token is None and read.composed.together and not greedy else choose
        return packed([read.row(b, rule_of) if on else ([], []) for b, on in enumerate(read.live)], times)

    made = kernel(Walk)
    takes = {n: place for n, place in made.takes.items() if coins or n not in ("q", "rank")}
    return replace(made, run=run, takes=takes, gives=("numbers",) * 5)


def drawn(walk: Walk, b: int, d: int, site: int, kids: list[int]) -> int:
    """One draw from the target, whatever was drafted; candidates of all rows' roots race together."""
    if site or not walk.composed.together:
        return walk.select(b, d, site, walk.target(b, site))
    if walk.first is None:
        walk.first = roots_drawn(walk)
    if walk.first[b] < 0:
        raise walk.unsupported(b, 0)
    return walk.first[b]


def roots_drawn(walk: Walk) -> list[int]:
    """The token drawn at the root of every live row; -1 where nothing weighs anything."""
    rows = [b for b, on in enumerate(walk.live) if on]
    logits, ids = walk.composed.roots()
    if len(rows) < len(walk.live):
        logits, ids = logits[rows], ids[rows]
    words = [address(walk.key[b], walk.stage, "select", (walk.length[b],)) for b in rows]
    weights, tokens = softmax.meaning(logits), ids.numpy()
    held, first = weights.numpy(), [-1] * len(walk.live)
    for i, (b, place) in enumerate(zip(rows, winners_among(weights, tokens, words), strict=True)):
        if held[i, place] > 0:  # not so of NaN
            first[b] = int(tokens[i, place])
    return first


def packed(paths: list[tuple[list[int], list[int]]], times: int) -> tuple[list[Any], ...]:
    """The region's outputs: last site, going, tokens, nodes, count."""
    token = [tokens + [0] * (times - len(tokens)) for tokens, _ in paths]
    node = [nodes + [0] * (times - len(nodes)) for _, nodes in paths]
    last = [nodes[-1] if nodes else 0 for _, nodes in paths]
    return last, [False] * len(paths), token, node, [len(tokens) for tokens, _ in paths]
