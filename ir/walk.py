"""The walker: one region, root to leaf, that every acceptor is; rule and law are its data.

A rule may first plan over the whole draft. At each site the walk tests the children in draw order with the rule's coins, draws
what is still owed if none is taken, and goes on while the selected token is a child and no cut closes the path.
Acceptance noise is addressed by row step, depth and rank; a selection by position.
"""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.logits import softmax
from penstock.ir.ops.random import coin_weights, race
from penstock.ir.ops.rows import at, set_column
from penstock.ir.ops.tree import child_with, children, drawn_from, ranked
from penstock.ir.ports import Commit, Draft, LawByRow
from penstock.ir.region import repeat
from penstock.ir.rules import Rule


def walk(
    composed: Any,
    draft: Draft | None,
    rule: Rule,
    *,
    stage: str,
    source: str = "",
    length: Any,
    steps: Any,
    key: Any,
    limit: Any,
    live: Any,
    last: Any = None,
    closed: Any = None,
) -> Commit:
    """Record the walk over ``composed [b,sites,v]``; ``last`` and ``closed`` are cuts, bool ``[b,sites]``."""
    depth = draft.depth if draft else 0
    cuts = dict(length=length, limit=limit, last=last, closed=closed)
    planned = rule.planned(composed, draft, cuts) if draft else rule

    def body(d: Any, site: Any, going: Any, token: Any, node: Any, count: Any) -> tuple[Any, ...]:
        target = softmax(at(composed, site))
        among = children(draft.parent_site, draft.valid, site) if draft else None
        here = planned.at(site) if draft else rule
        chosen, done, rest = try_children(target, draft, among, here, going, (key, stage, (steps, d)))
        drawn = race(rest, key, stage, "select", (length + d,), live=going & ~done)
        chosen = torch.where(done, chosen, drawn)
        token, node = set_column(token, d, chosen, going), set_column(node, d, site, going)
        if draft is None:
            return site, going & False, token, node, count + going
        below = child_with(among, draft.token, draft.site, chosen)
        onward = going & (below >= 0) & (length + d + 1 < limit)
        onward = onward if last is None else onward & ~at(last, site)
        onward = onward if closed is None else onward & ~at(closed, below)
        return torch.where(onward, below, site), onward, token, node, count + going

    start = blank_path(length, depth + 1)
    given = dict(composed=composed, length=length, steps=steps, key=key, limit=limit, live=live, last=last, closed=closed)
    if draft is not None:
        given |= {name: getattr(draft, name) for name in ("token", "parent_site", "site", "rank", "valid", "q")}
        given |= {"law": draft.law.which} if isinstance(draft.law, LawByRow) else {}
    law, width = (draft.law, draft.width) if draft else (None, 0)
    data = dict(rule=rule, law=law, stage=stage, source=source, width=width, parents=constant_topology(draft))
    site, _, token, node, count = repeat(
        depth + 1, body, [start[0], live, start[1], start[1], start[0]], label="walk", given=given, **data
    )
    return Commit(token, node, count, site, at(token, count - 1))


def constant_topology(draft: Draft | None) -> tuple[int, ...] | None:
    """The parent of every node that a walk may come to, the same in every row; None where rows differ."""
    parents = draft.parents if draft else ()
    return parents if isinstance(parents, tuple) else None


def try_children(
    target: Any, draft: Draft | None, among: Any, rule: Rule, going: Any, place: tuple[Any, str, tuple[Any, Any]]
) -> tuple[Any, Any, Any]:
    """``(chosen, done, rest)``: the accepted child where one was, and what to draw from where none was."""
    if draft is None or not rule.tests_children:
        rest = target if rule.tests_children else rule.rest(rule.begin(target, None, None))
        return going.long() * 0, ~going, rest
    key, stage, (steps, depth) = place
    drawn = None if draft.q is None else drawn_from(draft.q, among)
    state = rule.begin(target, drawn, among.long().sum(1))
    chosen, done = going.long() * 0, ~going
    for r in range(draft.width):
        exists, token = ranked(among, draft.token, draft.rank, r)
        tried = exists & ~done
        chance = rule.accept(state, token)
        coin = chance if rule.certain else race(coin_weights(chance), key, stage, "accept", (steps, depth, r), live=tried)
        taken = tried & (coin > 0)
        chosen, done = torch.where(taken, token, chosen), done | taken
        state = rule.reject(state, token, tried & ~taken)
    return chosen, done, rule.rest(state)


@op()
def blank_path(length: Int[Tensor, "B"], m: int) -> tuple[Int[Tensor, "B"], Int[Tensor, "B M"]]:
    """Zeros ``[b]`` and ``[b,m]``."""
    zero = torch.zeros_like(length)
    return zero, zero[:, None].expand(-1, m).clone()
