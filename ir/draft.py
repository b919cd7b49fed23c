"""Growing a draft level by level: logits at the tips, draws below them, and the bookkeeping of sites that authors need not do."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.logits import softmax, top_ids
from penstock.ir.ops.lookup import one_hot
from penstock.ir.ops.random import foresee, race
from penstock.ir.ops.rows import at_each, in_every_row, join, widened
from penstock.ir.ops.tree import own_sites, sites, tip_row, with_parents
from penstock.ir.ports import Draft, Law
from penstock.ir.step import Step, gathered, shaped, stepped


class Growth:
    """A draft of constant shape over one view: feed the root, then `draw` and `feed` level after level."""

    def __init__(self, step: Step, view: str, stage: str, **options: Any) -> None:
        """``options`` go to every forward: ``layers``, ``want_hidden``."""
        self.step, self.view, self.stage, self.options = step, view, stage, options
        self.tips: tuple[int, ...] = (-1,)
        """The nodes (-1: the root) that the next level is drawn below."""
        self.apart = True
        """Whether siblings are known to differ, and the topology is constant: then every node has a site of its own."""
        self.tip_sites: Any = None
        """The tips' sites ``[b,tips]`` where they are not their own."""
        self.logits, self.hidden = step.forward(view, **options)
        self.states = {p.name: widened(step.read(p.name), 1) for p in step.mirrored if p.automaton}
        self.parents: Any = ()
        """By node: a tuple while the topology is constant, else ``[b,n]``; ``above`` has the last level's."""
        self.levels: list[tuple[Any, Any, Any]] = []
        """Per level: tokens ``[b,m]``, parent sites ``[b,m]``, q by node ``[b,m,v]`` or None where no law needs it."""
        self.real: list[Any] = []
        """Per level which nodes are real ``[b,m]``, where masks are mirrored and may leave a tip nothing to draw."""
        self.masked = any(p.automaton or p.stage.hard_mask for p in step.mirrored)

    def shaped(self) -> Any:
        """Logits at the tips ``[b,tips,v]``, mirrored transforms applied."""
        return shaped(self.step, self.logits, self.states)

    def distribution(self) -> Any:
        """``q [b,tips,v]``: what the next level is drawn from."""
        return softmax(self.shaped())

    def draw(self, q: Any, each: int = 1) -> None:
        """``each`` draws below every tip, recorded as one level: independent, or on the noise of the selections they guess at."""
        level, live = len(self.levels), [self.step.tracer.live] * len(self.tips)
        if self.masked:
            alive = fertile(q, self.real[-1] if self.real else None)
            self.real.append(times(alive, each))
            live = [on & tip_row(alive, t) for t, on in enumerate(live)]
        places = [(t, t * each + j) for t in range(len(self.tips)) for j in range(each)]
        tokens = [self._drawn(tip_row(q, t), level, place, live[t]) for t, place in places]
        self.add(stacked(*tokens), times(q, each), each)

    def _drawn(self, weights: Any, level: int, place: int, live: Any) -> Any:
        """One token, addressed by its place in the level; or the one that the acceptor's own draw there makes likely."""
        step = self.step
        if step.foreseen is not None:
            return foresee(weights, step.key, step.foreseen, "select", (step.length + level,), live=live)
        return race(weights, step.key, self.stage, "draft", (step.steps, level, place), live=live)

    def likeliest(self) -> None:
        """The likeliest token below every tip, which is certain: no noise is drawn."""
        token = top_ids(self.logits, self.shaped() if self.step.mirrored else None, 1)
        if self.masked:
            self.real.append(fertile(self.distribution(), self.real[-1] if self.real else None))
        self.add(token, one_hot(token, self.step.vocab), 1, distinct=True)

    def add(self, token: Any, q: Any, each: int, *, distinct: bool = False) -> None:
        """Append a level of ``each`` nodes below every tip, tip by tip; ``distinct``: siblings cannot be equal."""
        above = tuple(tip for tip in self.tips for _ in range(each))
        parent_site = in_every_row(token, tuple(tip + 1 for tip in above)) if self.apart else times(self.tip_sites, each)
        self.states = stepped(self.step, {n: times(s, each) for n, s in self.states.items()}, token)
        self.apart = self.apart and (distinct or each == 1)
        self._append(token, parent_site, q, above, len(above))

    def graft(self, token: Any, place: Any, q: Any, count: int) -> None:
        """Append a level of ``count`` distinct nodes that chose their tips: ``place [b,count]`` counts tips, ``q`` is by tip."""
        above, self.apart = place + self.tips[0], False
        self.states = stepped(self.step, gathered(self.states, place), token)
        self._append(token, above + 1, at_each(q, place), above, count)

    def _append(self, token: Any, parent_site: Any, q: Any, above: Any, count: int) -> None:
        first = self.tips[-1] + 1
        self.levels.append((token, parent_site, q))
        self.above = above
        self.parents = with_parents(self.parents, above)
        self.tips = tuple(range(first, first + count))
        if not self.apart:
            self.all_sites = sites(join(*(level[1] for level in self.levels)), join(*(level[0] for level in self.levels)))
            self.tip_sites = last_columns(self.all_sites[0], count)

    def feed(self) -> None:
        """Score the last level, so that another can be drawn below it."""
        self.logits, self.hidden = self.step.forward(self.view, self.levels[-1][0], self.above, **self.options)
        if len(self.tips) > 1 and not self.apart:  # siblings must hold the very same row: read it at the first of equal nodes
            canonical = canonical_tip(self.tip_sites, self.tips[0])
            self.logits = at_each(self.logits, canonical)
            self.states = gathered(self.states, canonical)

    def finish(self, law: Law, width: int, valid: Any = None) -> Draft:
        """The draft, of this law, with at most ``width`` children a site."""
        token, parent_site = join(*(level[0] for level in self.levels)), join(*(level[1] for level in self.levels))
        if self.real:
            valid = join(*self.real) if valid is None else valid & join(*self.real)
        q = None if self.levels[0][2] is None else join(*(level[2] for level in self.levels))
        if self.apart:
            return of_shape(token, self.parents, law=law, valid=valid, q=q, stage=self.stage)
        site, rank = self.all_sites
        return Draft(
            token=token,
            parents=self.parents,
            parent_site=parent_site,
            site=site,
            rank=rank,
            valid=in_every_row(token, (True,) * (self.tips[-1] + 1)) if valid is None else valid,
            law=law,
            nodes=self.tips[-1] + 1,
            depth=len(self.levels),
            width=width,
            q=q,
            stage=self.stage,
        )


def of_shape(token: Any, parents: tuple[int, ...], *, law: Law, valid: Any = None, q: Any = None, stage: str) -> Draft:
    """A draft of constant topology whose siblings all differ: everything else about it follows."""
    parent_site, site, rank = own_sites(token, parents)
    depths: list[int] = []
    for parent in parents:
        depths.append(1 + (depths[parent] if parent >= 0 else 0))
    return Draft(
        token=token,
        parents=parents,
        parent_site=parent_site,
        site=site,
        rank=rank,
        valid=in_every_row(token, (True,) * len(parents)) if valid is None else valid,
        law=law,
        nodes=len(parents),
        depth=max(depths),
        width=max(map(parents.count, parents)),
        q=q,
        stage=stage,
    )


@op()
def fertile(q: Float[Tensor, "B T V"], real: Bool[Tensor, "B T"] | None) -> Bool[Tensor, "B T"]:
    """Tips that something can be drawn below: real ones with support left."""
    some = q.sum(-1) > 0
    return some if real is None else some & real


def times(values: Any, each: int) -> Any:
    """`repeated`, recorded only where it does something."""
    return repeated(values, each) if each > 1 else values


@op()
def stacked(*tokens: Int[Tensor, "B"]) -> Int[Tensor, "B M"]:
    """One column a draw."""
    return torch.stack(tokens, 1)


@op()
def repeated(values: Any, each: int) -> Any:
    """Every tip's entry ``each`` times in place: ``[b,t,...] -> [b,t*each,...]``."""
    return torch.utils._pytree.tree_map(lambda x: x.repeat_interleave(each, 1), values)


@op()
def last_columns(values: Int[Tensor, "B N"], count: int) -> Int[Tensor, "B T"]:
    """The last ``count`` columns."""
    return values[:, -count:]


@op()
def canonical_tip(tip_sites: Int[Tensor, "B T"], first: int) -> Int[Tensor, "B T"]:
    """For each tip the tip that its site is scored at, counted from the level's first node."""
    return tip_sites - 1 - first
