"""The walk for all rows at once: the walker's own code, run on tensors, depth after depth, whether or not a row still goes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from penstock.backends.inductor.sites import Sites
from penstock.ir import tracing
from penstock.ir.op import Op
from penstock.ir.ops.accept import HALVINGS, deflated, kseq_plan
from penstock.ir.ops.exposed import NOTHING, earliest, first_largest, negative_exponentials
from penstock.ir.ops.logits import softmax
from penstock.ir.ops.random import race
from penstock.ir.ops.rows import at
from penstock.ir.ports import Draft
from penstock.ir.region import Region
from penstock.ir.rules import ByLaw, Match, Rule
from penstock.ir.walk import walk

ENOUGH = {torch.float64: HALVINGS}
"""Halvings of K-SEQ's interval, by type; 28 are below what float32 can tell apart."""


TOKEN = 2
"""Which of a walk's results the selected tokens are."""


class Lockstep:
    """A node's target: walks every row's draft and gives what the region gives: last site, going, tokens, sites, count.

    Behind these it gives what it is ``told``: what the host has to know of the step besides, so that one read is all.
    """

    __name__ = "lockstep"

    def __init__(self, region: Region) -> None:
        self.data = region.data
        self.steps: int = region.data["times"]
        self.width: int = region.data["width"]
        self.greedy: bool = region.data.get("greedy", False)
        self.rule: Rule = Match() if self.greedy else region.data["rule"]

    @property
    def throws_coins(self) -> bool:
        return self.rule.tests_children and not self.rule.certain

    def reads(self, name: str) -> bool:
        """Whether the walk reads this; one that throws no coins reads neither what was drawn from nor in which order."""
        return name not in ("steps", "q", "rank") or name != "steps" and self.rule.tests_children

    def __call__(
        self,
        *,
        composed: Any,
        selects: Tensor | None = None,
        accepts: Tensor | None = None,
        law: Any = None,
        told: tuple[Tensor, ...] = (),
        **given: Any,
    ) -> tuple[Tensor, ...]:
        draft = None
        if "token" in given:
            nodes = {name: given.pop(name, None) for name in ("token", "parent_site", "site", "rank", "valid")}
            shape = dict(nodes=nodes["token"].shape[1], depth=self.steps - 1, width=self.width)
            draft = Draft(**nodes, q=given.pop("q", None), parents=(), law="arbitrary", **shape)
        rule = replace(self.rule, which=law) if isinstance(self.rule, ByLaw) else self.rule
        recorder = Greedily(draft) if selects is None else Drawing(draft, selects, accepts)
        with tracing.recording(recorder):
            commit = walk(composed, draft, rule, stage=self.data["stage"], steps=None, key=None, **given)
        return commit.last_site, torch.zeros_like(given["live"]), commit.token, commit.node, commit.count, *told


class Together:
    """Stands where a tracer would: ops run at once, and a region's body as often as it says."""

    def __init__(self, draft: Draft | None) -> None:
        self.draft, self.width, self.depth = draft, draft.width if draft else 0, 0

    def record(self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if op is at and isinstance(args[0], Sites):
            return args[0].at(args[1])
        if op is race:
            return self.drawn(args[0], *args[3:])
        return self.meaning(op)(*[a.whole() if isinstance(a, Sites) else a for a in args], **kwargs)

    def meaning(self, op: Op) -> Callable[..., Any]:
        """How an op is run."""
        raise NotImplementedError

    def drawn(self, weights: Tensor, purpose: str, at: Sequence[Any]) -> Tensor:
        """The winner of a race at the depth that is walked."""
        raise NotImplementedError

    def region(self, kind: str, body: Callable[..., Any], carry: Sequence[Any], *, times: int, **_: Any) -> Sequence[Any]:
        for self.depth in range(times):
            if self.draft and self.leaf:
                self.draft.width = 0  # so deep, no site has a child
            carry = body(self.depth, *carry)
        return carry

    @property
    def leaf(self) -> bool:
        return self.draft is None or self.depth == self.draft.depth


class Drawing(Together):
    """Draws read noise of address words that are known before the walk: ``selects [b,m]``, ``accepts [b,depth*width]``."""

    def __init__(self, draft: Draft | None, selects: Tensor, accepts: Tensor | None) -> None:
        super().__init__(draft)
        self.selects = selects
        self.coins = None if accepts is None else negative_exponentials(accepts, 2)

    def meaning(self, op: Op) -> Callable[..., Any]:
        return self.plan if op is kseq_plan else op.meaning

    def plan(self, t: Tensor, d: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """`kseq_plan`, without asking the counts."""
        return (count.to(t), t) if self.leaf else deflated(t, d, count, ENOUGH.get(t.dtype, 28) if self.width > 1 else 0)

    def drawn(self, weights: Tensor, purpose: str, at: Sequence[Any]) -> Tensor:
        if purpose == "select":
            return earliest.meaning(weights, self.selects[:, self.depth])  # type: ignore[no-any-return]
        assert self.coins is not None
        noise = self.coins[:, self.depth * self.width + at[-1]].to(weights)
        return (-noise / weights).argmin(-1)


class Greedily(Together):
    """Selection is an argmax: logits stand for the one-hot target that they are the mode of."""

    def meaning(self, op: Op) -> Callable[..., Any]:
        return (lambda logits: logits) if op is softmax else op.meaning

    def drawn(self, weights: Tensor, purpose: str, at: Sequence[Any]) -> Tensor:
        token = first_largest(weights)
        return torch.where(weights.gather(-1, token[:, None])[:, 0].isfinite(), token, NOTHING)
