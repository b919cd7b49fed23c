"""Growing a draft level by level: logits at the tips, draws below them, and the bookkeeping of sites that authors need not do."""

from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.logits import softmax
from penstock.ir.ops.random import race
from penstock.ir.ops.rows import at_each, join
from penstock.ir.ops.tree import sites, tip_row
from penstock.ir.ports import Draft, Law
from penstock.ir.step import Step, gathered, shaped, stepped


class Growth:
    """A draft of constant shape over one view: feed the root, then `draw` and `feed` level after level."""

    def __init__(self, step: Step, view: str, stage: str, *, layers: tuple[int, int] | None = None) -> None:
        self.step, self.view, self.stage, self.layers = step, view, stage, layers
        self.tips: tuple[int, ...] = (-1,)
        """The nodes (-1: the root) that the next level is drawn below."""
        self.tip_sites: Any = None
        self.logits, self.hidden = step.forward(view, layers=layers)
        self.states = {p.name: widened(step.read(p.name), 1) for p in step.mirrored if p.automaton}
        self.parents: tuple[int, ...] = ()
        self.levels: list[tuple[Any, Any, Any]] = []
        """Per level: tokens ``[b,m]``, parent sites ``[b,m]``, q by node ``[b,m,v]``."""
        self.width = 1

    def distribution(self) -> Any:
        """``q [b,tips,v]``: what the next level is drawn from, mirrored transforms applied."""
        return softmax(shaped(self.step, self.logits, self.states))

    def draw(self, q: Any, each: int = 1) -> None:
        """``each`` independent draws below every tip, recorded as one level."""
        level = len(self.levels)
        tokens = [
            race(tip_row(q, t), self.step.key, self.stage, "draft", (self.step.steps, level, t * each + j))
            for t in range(len(self.tips))
            for j in range(each)
        ]
        self.add(stacked(*tokens), repeated(q, each), each)

    def add(self, token: Any, q: Any, each: int) -> None:
        """Append a level of ``each`` nodes below every tip, tip by tip."""
        first = len(self.parents)
        below = tuple(tip for tip in self.tips for _ in range(each))
        parent_site = tip_parents(token, 0) if self.tip_sites is None else repeated(self.tip_sites, each)
        self.states = stepped(self.step, {n: repeated_tree(s, each) for n, s in self.states.items()}, token)
        self.levels.append((token, parent_site, q))
        self.parents += below
        self.tips = tuple(range(first, first + len(below)))
        self.all_sites = self._sites()
        self.tip_sites = last_columns(self.all_sites[0], len(self.tips))

    def feed(self) -> None:
        """Score the last level, so that another can be drawn below it."""
        token = self.levels[-1][0]
        self.logits, self.hidden = self.step.forward(
            self.view, token, tuple(self.parents[t] for t in self.tips), layers=self.layers
        )
        if len(self.tips) > 1:  # siblings must hold the very same row, so read it at the first of equal nodes
            canonical = canonical_tip(self.tip_sites, self.tips[0])
            self.logits = at_each(self.logits, canonical)
            self.states = gathered(self.states, canonical)

    def _sites(self) -> tuple[Any, Any]:
        tokens, parents = join(*(level[0] for level in self.levels)), join(*(level[1] for level in self.levels))
        self.token, self.parent_site = tokens, parents
        return chain_sites(tokens) if self.parents == tuple(range(-1, len(self.parents) - 1)) else sites(parents, tokens)

    def finish(self, law: Law, width: int, valid: Any = None) -> Draft:
        """The draft, of this law, with at most ``width`` children a site."""
        site, rank = self.all_sites
        return Draft(
            token=self.token,
            parents=self.parents,
            parent_site=self.parent_site,
            site=site,
            rank=rank,
            valid=every(self.token) if valid is None else valid,
            law=law,
            nodes=len(self.parents),
            depth=len(self.levels),
            width=width,
            q=join(*(level[2] for level in self.levels)),
            stage=self.stage,
        )


@op()
def stacked(*tokens: Int[Tensor, "B"]) -> Int[Tensor, "B M"]:
    """One column a draw."""
    return torch.stack(tokens, 1)


@op()
def repeated(values: Tensor, each: int) -> Tensor:
    """Every tip's entry ``each`` times in place: ``[b,t,...] -> [b,t*each,...]``."""
    return values.repeat_interleave(each, 1) if each > 1 else values


@op()
def repeated_tree(values: Any, each: int) -> Any:
    """`repeated` on path states."""
    return torch.utils._pytree.tree_map(lambda x: x.repeat_interleave(each, 1) if each > 1 else x, values)


@op()
def widened(values: Any, tips: int) -> Any:
    """A row's path state at each of its tips: ``[b,...] -> [b,tips,...]``."""
    return torch.utils._pytree.tree_map(lambda x: x[:, None].expand(-1, tips, *x.shape[1:]), values)


@op()
def last_columns(values: Int[Tensor, "B N"], count: int) -> Int[Tensor, "B T"]:
    """The last ``count`` columns."""
    return values[:, -count:]


@op()
def tip_parents(token: Int[Tensor, "B M"], site: int) -> Int[Tensor, "B M"]:
    """One parent site for a whole level."""
    return torch.full_like(token, site)


@op()
def canonical_tip(tip_sites: Int[Tensor, "B T"], first: int) -> Int[Tensor, "B T"]:
    """For each tip the tip that its site is scored at, counted from the level's first node."""
    return tip_sites - 1 - first


@op()
def chain_sites(token: Int[Tensor, "B N"]) -> tuple[Int[Tensor, "B N"], Int[Tensor, "B N"]]:
    """`tree.sites` of a chain: node i has site i + 1 and rank 0."""
    return torch.arange(1, token.shape[1] + 1).expand(len(token), -1), torch.zeros_like(token)


@op()
def every(token: Int[Tensor, "B N"]) -> Bool[Tensor, "B N"]:
    """All nodes valid."""
    return torch.ones_like(token, dtype=torch.bool)
