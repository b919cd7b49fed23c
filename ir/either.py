"""Two drafts as one: each row takes the first where it has any node, else the second, which is drafted for such rows alone."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.ops.rows import in_every_row
from penstock.ir.ports import Draft, LawByRow
from penstock.ir.region import cond_rows
from penstock.ir.rules import AUTO
from penstock.ir.step import Step

WEAKER = ("fixed", "iid", "without_replacement", "arbitrary")
"""The laws, those that say most first."""
Nodes = tuple[Any, Any, Any, Any, Any, Any, Any]
"""``(token, parent, parent_site, site, rank, valid, q)``, each ``[b,n,...]``."""


def either(step: Step, first: Draft, second: Callable[[], Draft], room: int, stage: str) -> Draft:
    """``first`` where it has a node; ``second`` is drafted, and takes its place, in the rows where it has none.

    ``room``: the most nodes that either has.
    """
    made: list[Draft] = []
    without = not_any(first.valid)

    def instead(*_: Any) -> Nodes:
        made.append(second())
        return nodes_of(step, made[0], room)

    kept = nodes_of(step, first, room)
    token, parent, parent_site, site, rank, valid, q = cond_rows(without, instead, kept, label="or_else")
    other = made[0]
    for draft in (first, other):
        if draft.probes is not None or draft.begun is not None:
            raise PenstockError(
                f"stages {first.stage} and {other.stage} cannot stand in for each other: {draft.stage} has its verifier do more "
                "than score its nodes, in every step",
                fix="use it alone",
            )
    straight = parents_of_both(first, other, room)
    return Draft(
        token=token,
        parents=parent if straight is None else straight,
        parent_site=parent_site,
        site=site,
        rank=rank,
        valid=valid,
        law=law_of_both(first, other, without),
        nodes=room,
        depth=max(first.depth, other.depth),
        width=max(first.width, other.width),
        q=None if first.q is None and other.q is None else q,
        stage=stage,
    )


def nodes_of(step: Step, draft: Draft, room: int) -> Nodes:
    """A draft's nodes, and void ones after them up to ``room``."""
    q = draft.q if draft.q is not None else no_q(draft.token, step.vocab)
    parent = in_every_row(draft.token, draft.parents) if isinstance(draft.parents, tuple) else draft.parents
    padded: Nodes = filled(draft.token, parent, draft.parent_site, draft.site, draft.rank, draft.valid, q, room)
    return padded


def parents_of_both(first: Draft, other: Draft, room: int) -> tuple[int, ...] | None:
    """The longer topology where it is constant and begins with the shorter; else rows differ."""
    if not isinstance(first.parents, tuple) or not isinstance(other.parents, tuple):
        return None
    short, long = sorted((first.parents, other.parents), key=len)
    return long + (-1,) * (room - len(long)) if long[: len(short)] == short else None


def law_of_both(first: Draft, other: Draft, without: Any) -> Any:
    """The weaker law where one rule is exact for both, else each row's own."""
    if isinstance(first.law, LawByRow) or isinstance(other.law, LawByRow):
        raise PenstockError(
            f"stages {first.stage} and {other.stage} cannot stand in for each other: one of them has drafts of several laws",
            fix="name the three drafters in another order, or leave one out",
        )
    if AUTO[first.law] == AUTO[other.law]:
        return max(first.law, other.law, key=WEAKER.index)
    return LawByRow((first.law, other.law), index_of(without))


@op()
def not_any(valid: Bool[Tensor, "B N"]) -> Bool[Tensor, "B"]:
    """Rows without a real node."""
    return ~valid.any(1)


@op()
def index_of(mask: Bool[Tensor, "B"]) -> Int[Tensor, "B"]:
    """1 where the mask holds, else 0."""
    return mask.long()


@op()
def no_q(token: Int[Tensor, "B N"], vocab: int) -> Float[Tensor, "B N V"]:
    """Nothing, in place of distributions that a rule does not ask for."""
    return torch.zeros(*token.shape, vocab)


@op()
def filled(
    token: Int[Tensor, "B N"],
    parent: Int[Tensor, "B N"],
    parent_site: Int[Tensor, "B N"],
    site: Int[Tensor, "B N"],
    rank: Int[Tensor, "B N"],
    valid: Bool[Tensor, "B N"],
    q: Float[Tensor, "B N V"],
    room: int,
) -> Nodes:
    """The same with void nodes up to ``room``, children of the root with a site of their own that nobody reads."""
    missing = room - token.shape[1]
    void = torch.full((len(token), missing), -1)
    own = torch.arange(token.shape[1] + 1, room + 1).expand(len(token), -1)
    ends = void + 1, void, void + 1, own, void + 1, void >= 0, q.new_zeros(len(token), missing, q.shape[2])
    every = (token, parent, parent_site, site, rank, valid, q)
    return tuple(torch.cat(pair, 1) for pair in zip(every, ends, strict=True))  # type: ignore[return-value]
