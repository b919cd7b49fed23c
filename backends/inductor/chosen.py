"""What a rule selects at one site of one row, compiled: a walk on the host calls it where it comes, and ends where its path ends.

The rule's own code is run on tensors, as it is when all rows walk in lockstep; numbers of the site (address words, its children's
tokens) go in as one block, and one number comes out. One shape serves every batch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from penstock.backends.eager.places import from_numbers
from penstock.backends.eager.walk import Choose, Walk
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.lockstep import Drawing
from penstock.backends.inductor.sites import Composing, Site
from penstock.ir import tracing
from penstock.ir.noise import address
from penstock.ir.op import Op
from penstock.ir.ops.exposed import signed
from penstock.ir.ops.logits import softmax
from penstock.ir.ops.random import race
from penstock.ir.ops.tree import drawn_from
from penstock.ir.ports import Draft
from penstock.ir.region import Region
from penstock.ir.rules import ByLaw, Rule
from penstock.ir.walk import try_children


def choosing(rule: Rule, region: Region, composing: Composing, artefacts: Artefacts) -> Choose:
    """The compiled choice of a rule, or of each row's own."""
    if not isinstance(rule, ByLaw):
        return Choice(rule, region, composing, artefacts)
    each = [Choice(one, region, composing, artefacts) for one in rule.among]
    return lambda walk, b, d, site, kids: each[walk.law[b]](walk, b, d, site, kids)


class Choice:
    """``choice(walk, b, d, site, kids)``: the token selected at a site of row b, d tokens below the root."""

    def __init__(self, rule: Rule, region: Region, composing: Composing, artefacts: Artefacts) -> None:
        self.rule, self.composing = rule, composing
        self.stage: str = region.data["stage"]
        self.width: int = region.data["width"]
        self.leaf: Callable[..., tuple[Tensor, ...]] = artefacts.add(self.drawn, self.stage)
        self.parent: Callable[..., tuple[Tensor, ...]] = artefacts.add(self.tried, self.stage)

    def __call__(self, walk: Walk, b: int, d: int, site: int, kids: list[int]) -> int:
        composed: Site = walk.composed  # type: ignore[assignment]
        numbers = [word(walk, b, "select", walk.length[b] + d)]
        if kids and self.rule.tests_children:
            block = from_numbers([numbers + self.children(walk, b, d, kids)], np.int64)
            drawn = () if walk.q is None else (walk.q[kids[0]][b : b + 1],)
            (chosen,) = self.parent(block, *drawn, *composed.reads(b, site))
        else:
            (chosen,) = self.leaf(from_numbers([numbers], np.int64), *composed.reads(b, site))
        if (token := int(chosen)) < 0:
            raise walk.unsupported(b, site)
        return token

    def children(self, walk: Walk, b: int, d: int, kids: list[int]) -> list[int]:
        """By rank: each child's coin's address, its token, and whether there is one."""
        coins, tokens, there = ([0] * self.width for _ in range(3))
        for i in kids:
            rank = walk.rank[b][i]
            coins[rank], tokens[rank], there[rank] = word(walk, b, "accept", walk.steps[b], d, rank), walk.token[b][i], 1
        return coins + tokens + there

    def drawn(self, block: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
        """A site without children: ``[1,1]`` words and what its logits are made of, to a token ``[1]``."""
        return self.selected(block[:, :1], None, None, leaves)

    def tried(self, block: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        """A site with children, which were drawn from the first of the inputs, if from anything: to a token ``[1]``."""
        count = self.composing.tree.num_leaves
        q, leaves = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
        coins, token, there = block[:, 1:].split(self.width, 1)
        zero, rank = torch.zeros_like(token), torch.arange(self.width)[None]
        shape = dict(nodes=self.width, depth=1, width=self.width)
        draft = Draft(token, (), zero, zero, rank, there != 0, "arbitrary", **shape, q=q[0] if q else None)
        return self.selected(block[:, :1], draft, coins, leaves)

    def selected(
        self, select: Tensor, draft: Draft | None, coins: Tensor | None, leaves: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """What the walker selects: an accepted child, or else a draw."""
        logits = Site(self.composing.graph, pytree.tree_unflatten(leaves, self.composing.tree), (1, 1)).whole()[:, 0]
        with tracing.recording(AtSite(draft, select, coins)):
            among, going = draft.valid if draft else None, torch.ones(1, dtype=torch.bool)
            chosen, done, rest = try_children(softmax(logits), draft, among, self.rule, going, (None, self.stage, (None, 0)))
            drawn = race(rest, None, self.stage, "select", (), live=None)
        return (torch.where(done, chosen, drawn),)


class AtSite(Drawing):
    """Stands where a tracer would at one site, whose children's distribution is known without looking for it."""

    def record(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args[0] if op is drawn_from else super().record(op, args, kwargs)


def word(walk: Walk, b: int, purpose: str, *at: int) -> int:
    """The address of one draw of row b."""
    return signed(address(walk.key[b], walk.stage, purpose, at), 64)
