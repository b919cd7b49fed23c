"""The walk on the host: row by row, root to leaf, with early exit; only sites that are reached are read.

Same noise, same rules and same result as the region it stands for (tested on equal noise).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from penstock.ir.errors import PenstockError
from penstock.ir.noise import address, addresses, exponential, exponentials
from penstock.ir.ops.accept import TINY, kseq_plan
from penstock.ir.region import Region

Children = dict[int, list[int]]


def walk(region: Region) -> Callable[..., Any]:
    """The kernel for one walk region."""
    names, count = region.data["given"], len(region.carried)
    select = greedy_row if region.data.get("greedy") else SAMPLED[region.data["rule"].name]
    stage = region.data["stage"]

    def run(*args: Any) -> tuple[Any, ...]:
        given = dict(zip(names, args[count : count + len(names)], strict=True))
        rows = Rows(given, stage, region.data["times"])
        paths = [select(rows, b) if on else ([], []) for b, on in enumerate(given["live"].tolist())]
        return packed(paths, region.data["times"])

    return run


class Rows:
    """What the walk reads, small tensors as lists."""

    def __init__(self, given: dict[str, Any], stage: str, times: int) -> None:
        self.composed, self.stage, self.times = given["composed"], stage, times
        self.reading = self.composed[0, 0]
        """The logits of the site being read, for the error of a row that nothing can be drawn for."""
        self.length, self.steps, self.key, self.limit = (given[n].tolist() for n in ("length", "steps", "key", "limit"))
        self.last = given["last"].tolist() if "last" in given else None
        self.closed = given["closed"].tolist() if "closed" in given else None
        self.q = given.get("q")
        self.token = given["token"].tolist() if "token" in given else None
        if self.token is not None:
            self.site, self.parent = given["site"].tolist(), given["parent_site"].tolist()
            self.valid, self.rank = given["valid"].tolist(), given["rank"].tolist()
        self.largest = None

    def children(self, b: int) -> Children:
        """Valid nodes by parent site, in draw order."""
        found: Children = {}
        if self.token is not None:
            for i, (parent, ok) in enumerate(zip(self.parent[b], self.valid[b], strict=True)):
                if ok:
                    found.setdefault(parent, []).append(i)
        return found

    def onward(self, b: int, site: int, d: int, kids: list[int], chosen: int) -> int:
        """The site the chosen token leads to, or -1 where the path ends."""
        below = next((self.site[b][i] for i in kids if self.token[b][i] == chosen), -1)  # type: ignore[index]
        if below < 0 or self.length[b] + d + 1 >= self.limit[b]:
            return -1
        if self.last is not None and self.last[b][site] or self.closed is not None and self.closed[b][below]:
            return -1
        return below  # type: ignore[no-any-return]

    def coin(self, b: int, d: int, r: int, p: float) -> bool:
        """Whether the race of ``1 - p`` against ``p`` is won by ``p``."""
        word = address(self.key[b], self.stage, "accept", (self.steps[b], d, r))
        no, yes = exponential(word, 0), exponential(word, 1)
        return p > 0 and (p >= 1 or yes / p < no / (1 - p))

    def select(self, b: int, d: int, weights: Tensor) -> int:
        """The race for position ``length + d``; a row without support is the user's to know."""
        word = addresses(torch.tensor(self.key[b : b + 1]), self.stage, "select", (self.length[b] + d,))
        chosen = int((exponentials(word, len(weights))[0].to(weights) / weights).argmin())
        if not float(weights[chosen]) > 0:
            raise unsupported(self.stage, b, self.reading)
        return chosen


def unsupported(stage: str, row: int, logits: Tensor) -> PenstockError:
    """The error of a row that nothing can be drawn for."""
    if bool(logits.isnan().any()):
        return PenstockError(f"stage {stage}: the logits of row {row} are NaN", fix="check the model's weights and precision")
    return PenstockError(f"stage {stage}: row {row} has no support: no token is allowed", fix="loosen the masks before it")


def greedy_row(rows: Rows, b: int) -> tuple[list[int], list[int]]:
    """Target and draft are one-hot: every rule keeps the argmax."""
    if rows.largest is None:
        rows.largest = largest(rows.composed).tolist()
        finite = rows.composed[:, 0].amax(-1).tolist()
        if not all(math.isfinite(x) for x in finite):
            bad = next(i for i, x in enumerate(finite) if not math.isfinite(x))
            raise unsupported(rows.stage, bad, rows.composed[bad, 0])
    kids, site, tokens, nodes = rows.children(b), 0, [], []
    while site >= 0:
        chosen = rows.largest[b][site]
        tokens.append(chosen)
        nodes.append(site)
        site = rows.onward(b, site, len(tokens) - 1, kids.get(site, []), chosen)
    return tokens, nodes


def sampled(select: Callable[[Rows, int, int, int, list[int], Tensor], int]) -> Callable[[Rows, int], tuple[list[int], list[int]]]:
    """A row's walk by a rule's choice at one site."""

    def row(rows: Rows, b: int) -> tuple[list[int], list[int]]:
        kids, site, tokens, nodes = rows.children(b), 0, [], []
        while site >= 0:
            mine = kids.get(site, [])
            rows.reading = rows.composed[b, site]
            chosen = select(rows, b, len(tokens), site, mine, rows.reading.softmax(-1))
            tokens.append(chosen)
            nodes.append(site)
            site = rows.onward(b, site, len(tokens) - 1, mine, chosen)
        return tokens, nodes

    return row


def match(rows: Rows, b: int, d: int, site: int, kids: list[int], target: Tensor) -> int:
    """`Match`: one draw from the target."""
    return rows.select(b, d, target)


def kseq(rows: Rows, b: int, d: int, site: int, kids: list[int], target: Tensor) -> int:
    """`KSeq`: coins against the deflated ratio, then what is owed."""
    if not kids:
        return rows.select(b, d, target)
    draft = rows.q[b, kids[0]]  # type: ignore[index]
    rho, owed = 1.0, None
    if len(kids) > 1:
        plan = kseq_plan.meaning(target[None], draft[None], torch.tensor([len(kids)]))
        rho, owed = float(plan[0]), plan[1][0]
    for i in kids:
        x = rows.token[b][i]  # type: ignore[index]
        p = float(target[x])
        if p > 0 and rows.coin(b, d, rows.rank[b][i], min(1.0, p / (rho * float(draft[x])))):
            return int(x)
    if owed is None:
        owed = (target - draft).clamp_(min=0)
        owed = owed if float(owed.sum()) > TINY else target
    return rows.select(b, d, owed)


def recursive(rows: Rows, b: int, d: int, site: int, kids: list[int], target: Tensor) -> int:
    """`Recursive`: owe what the draft took, then shrink the draft, child after child."""
    draft = rows.q[b, kids[0]].clone() if kids else target  # type: ignore[index]
    for i in kids:
        x = rows.token[b][i]  # type: ignore[index]
        p = float(target[x])
        if p > 0 and rows.coin(b, d, rows.rank[b][i], min(1.0, p / float(draft[x]))):
            return int(x)
        owed = (target - draft).clamp_(min=0)
        total = owed.sum()
        target = owed / total if float(total) > TINY else target
        draft[x] = 0
        left = draft.sum()
        draft = draft / left if float(left) > 0 else draft
    return rows.select(b, d, target)


SAMPLED = {"kseq": sampled(kseq), "recursive": sampled(recursive), "match": sampled(match)}


def largest(logits: Tensor) -> Tensor:
    """``argmax(-1)``, lowest id first, by block maxima: several times faster on a CPU over a large vocabulary."""
    width = logits.shape[-1]
    if width < 1024 or width % 64:
        return logits.argmax(-1)
    blocks = logits.unflatten(-1, (-1, 64))
    block = blocks.amax(-1).argmax(-1, keepdim=True)
    inside = blocks.gather(-2, block[..., None].expand(*block.shape, 64))[..., 0, :]
    return block[..., 0] * 64 + inside.argmax(-1)


def packed(paths: list[tuple[list[int], list[int]]], times: int) -> tuple[Tensor, ...]:
    """The region's outputs: last site, going, tokens, nodes, count."""
    pad = lambda xs: xs + [0] * (times - len(xs))  # noqa: E731
    last = torch.tensor([nodes[-1] if nodes else 0 for _, nodes in paths])
    token, node = torch.tensor([pad(t) for t, _ in paths]), torch.tensor([pad(n) for _, n in paths])
    return last, last < 0, token, node, torch.tensor([len(t) for t, _ in paths])
