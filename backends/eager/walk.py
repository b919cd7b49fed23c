"""The walk on the host: row by row, root to leaf, with early exit; only sites that are reached are read.

A rule asks for what it reads and draws, and what rows ask for at the same time is made together. Same noise, same rules and same
result as the region it stands for (tested on equal noise).
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from penstock.backends.eager.lazy import Site
from penstock.backends.eager.places import Columns, Kernel, Numbers, kernel
from penstock.backends.eager.race import winners
from penstock.ir.errors import PenstockError
from penstock.ir.noise import address, exponential
from penstock.ir.region import Region

Path = tuple[list[int], list[int]]
"""The tokens of one row, and the sites that they were selected from."""


class Read(NamedTuple):
    """Asks for the target's distribution ``[v]`` at a site."""

    row: int
    site: int


class Draw(NamedTuple):
    """Asks for the race of these weights ``[v]`` for position ``length + depth``."""

    row: int
    depth: int
    site: int
    weights: Tensor


@dataclass
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
    stage: str = ""

    def row(self, b: int, choose: "Choose") -> Generator[Any, Any, Path]:
        """The path of one row, root to leaf."""
        below, site, tokens, nodes = self.children(b), 0, list[int](), list[int]()
        while site >= 0:
            kids = below.get(site, [])
            chosen = choose(self, b, len(tokens), site, kids)
            if isinstance(chosen, Generator):
                chosen = yield from chosen
            tokens.append(chosen)
            nodes.append(site)
            site = self.onward(b, site, len(tokens), kids, chosen)
        return tokens, nodes

    def children(self, b: int) -> dict[int, list[int]]:
        """Valid nodes by parent site, in draw order."""
        found: dict[int, list[int]] = {}
        if self.token is not None:
            for i, parent in enumerate(self.parent_site[b]):
                if self.valid[b][i]:
                    found.setdefault(parent, []).append(i)
        return found

    def onward(self, b: int, site: int, count: int, kids: list[int], chosen: int) -> int:
        """The site the chosen token leads to, or -1 where the path ends."""
        below = next((self.site[b][i] for i in kids if self.token[b][i] == chosen), -1)
        if below < 0 or self.length[b] + count >= self.limit[b]:
            return -1
        if self.last is not None and self.last[b][site] or self.closed is not None and self.closed[b][below]:
            return -1
        return int(below)

    def coin(self, b: int, d: int, node: int, p: float) -> bool:
        """Whether the race of ``1 - p`` against ``p`` is won by ``p``, for a child at depth d."""
        word = address(self.key[b], self.stage, "accept", (self.steps[b], d, self.rank[b][node]))
        no, yes = exponential(word, 0), exponential(word, 1)
        return p > 0 and (p >= 1 or yes / p < no / (1 - p))

    def together(self, rows: dict[int, Generator[Any, Any, Path]]) -> dict[int, Path]:
        """All rows to their ends."""
        asked, paths = dict[int, Any](), dict[int, Path]()
        answers: dict[int, Any] = dict.fromkeys(rows)
        while answers:
            for b, answer in answers.items():
                try:
                    asked[b] = rows[b].send(answer)
                except StopIteration as end:
                    paths[b] = end.value
            answers = {
                **self.read([a for a in asked.values() if isinstance(a, Read)]),
                **self.draw([a for a in asked.values() if isinstance(a, Draw)]),
            }
            asked.clear()
        return paths

    def read(self, asked: Sequence[Read]) -> dict[int, Tensor]:
        """Distributions by row."""
        if not asked:
            return {}
        logits = self.composed.rows([a.row for a in asked], [a.site for a in asked])
        return dict(zip((a.row for a in asked), logits.softmax(-1).unbind(), strict=True))

    def draw(self, asked: Sequence[Draw]) -> dict[int, int]:
        """Tokens by row."""
        if not asked:
            return {}
        words = [address(self.key[a.row], self.stage, "select", (self.length[a.row] + a.depth,)) for a in asked]
        weights = asked[0].weights[None] if len(asked) == 1 else torch.stack([a.weights for a in asked])
        drawn = winners(weights, words)
        for a, token in zip(asked, drawn, strict=True):
            if not a.weights.numpy()[token] > 0:
                raise self.unsupported(a.row, a.site)
        return dict(zip((a.row for a in asked), drawn, strict=True))

    def unsupported(self, row: int, site: int) -> PenstockError:
        """The error of a row that nothing can be drawn for: the user's to know."""
        what, fix = f"row {row} has no support: no token is allowed", "loosen the masks before it"
        if bool(self.composed(row, site).isnan().any()):
            what, fix = f"the logits of row {row} are NaN", "check the model's weights and precision"
        return PenstockError(f"stage {self.stage}: {what}", fix=fix)


Choose = Callable[[Walk, int, int, int, list[int]], int | Generator[Read | Draw, Any, Any]]
"""The token a rule selects, at once or after asking: of row b, at depth d, at a site, with these children."""


def walk(region: Region, rules: dict[str, Choose], coins: frozenset[str]) -> Kernel:
    """The kernel for one walk region; a rule that throws no coins reads neither what was drawn from nor in which order."""
    stage, times = region.data["stage"], region.data["times"]
    name = "greedy" if region.data.get("greedy") else region.data["rule"].name

    def run(**given: Any) -> tuple[list[Any], ...]:
        read = Walk(stage=stage, **given)
        rows = {b: read.row(b, rules[name]) for b, on in enumerate(read.live) if on}
        paths = read.together(rows)
        return packed([paths.get(b, ([], [])) for b in range(len(read.live))], times)

    made = kernel(Walk)
    takes = {n: place for n, place in made.takes.items() if name in coins or n not in ("q", "rank")}
    return replace(made, run=run, takes=takes, gives=("numbers",) * 5)


def packed(paths: list[Path], times: int) -> tuple[list[Any], ...]:
    """The region's outputs: last site, going, tokens, nodes, count."""
    token = [tokens + [0] * (times - len(tokens)) for tokens, _ in paths]
    node = [nodes + [0] * (times - len(nodes)) for _, nodes in paths]
    last = [nodes[-1] if nodes else 0 for _, nodes in paths]
    return last, [False] * len(paths), token, node, [len(tokens) for tokens, _ in paths]
