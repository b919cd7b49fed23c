"""How far drafts go, decided after every step for the next one by a host object that keeps a clock.

What it keeps of a row is a register, so that rows can be taken, joined and forked; what it has learnt of the machine is its own.
"""

from collections.abc import Sequence as Listed
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.state import Sequence, View


class Row(NamedTuple):
    """What is kept of a row from step to step; counts are of two spans of steps, the one that goes on and the one before it."""

    budget: float = 0.0
    """The most tokens that its next draft has."""
    behind: float = 0.0
    """Tokens of its text that its drafter has not read, since no draft was asked for."""
    steps: float = 0.0
    """How long the span is that goes on."""
    accepted: float = 0.0
    """Draft positions that were accepted, of those that were tested."""
    tested: float = 0.0
    found: float = 0.0
    """Drafts that had any token, of those that were asked for."""
    asked: float = 0.0
    accepted_before: float = 0.0
    tested_before: float = 0.0
    found_before: float = 0.0
    asked_before: float = 0.0


class Tried(NamedTuple):
    """What became of a row's draft."""

    offered: int
    accepted: int
    tested: int
    """Positions whose verdict was reached: those accepted, and the first refused."""


class Taken(NamedTuple):
    """A step that was taken, rows in order."""

    length: int
    """The longest draft that its graph has room for."""
    began: float
    """When, by the pace's own clock."""
    text: Listed[int]
    """Tokens in each row's text before it."""
    new: Listed[bool]
    """Rows of which it was the first step."""
    live: Listed[bool]
    rows: Listed[Row]
    tried: Listed[Tried]


class Pacing(Protocol):
    """Decides how far drafts go; any answer is exact, some are fast."""

    def now(self) -> float:
        """Seconds, by a clock that only goes forward."""
        ...

    def opening(self, rows: int) -> int:
        """How far the first drafts of a batch go."""
        ...

    def idles(self, began: float, text: Listed[int]) -> bool:
        """Whether a plain step, begun then on rows of such texts, is one of a rest that goes on; then nothing is decided."""
        ...

    def after(self, step: Taken) -> list[Row]:
        """What is kept of every row, the budget of its next draft with it."""
        ...


@op("host", borrows=2, takes_live=True)
def started(view: View, seq: Sequence, pace: Pacing, *, live: Bool[Tensor, "B"]) -> tuple[float, Tensor, Tensor]:
    """``(seconds, text [b], new [b])``: when the step began, how long the view's text is, and whether the row's own is empty."""
    return pace.now(), view.length(seq), seq.length == 0


@op("host", couples_rows=True, takes_live=True)
def paced(
    pace: Pacing,
    length: int,
    began: float,
    text: Int[Tensor, "B"],
    new: Bool[Tensor, "B"],
    kept: tuple[Float[Tensor, "B R"], Int[Tensor, "B L"]],
    draft: tuple[Int[Tensor, "B K"], Bool[Tensor, "B K"]] | None,
    token: Int[Tensor, "B M"],
    count: Int[Tensor, "B"],
    *,
    live: Bool[Tensor, "B"],
) -> tuple[Int[Tensor, "B 1"], Float[Tensor, "B R"], Int[Tensor, "B L"]]:
    """``(longest [b,1], rows, counts)``: the next step's bucket, what is kept of rows, and how many steps drafted how far.

    ``began``, ``text`` and ``new`` as `started` said; ``kept``: rows and counts so far; ``draft``: its tokens and which are real;
    ``token``, ``count``: what was committed.
    """
    if rests(pace, length, began, text.tolist(), new.tolist()):
        return rested(*kept)
    on, offered = live.tolist(), draft and (draft[0].tolist(), draft[1].tolist())
    tried = [outcome(offered, row, token[row, : int(count[row])].tolist()) for row in range(len(on))]
    return decided(pace, Taken(length, began, text.tolist(), new.tolist(), on, before(kept[0]), tried), kept)


def rests(pace: Pacing, length: int, began: float, text: Listed[int], new: Listed[bool]) -> bool:
    """Whether a step that read no prompt and drafted nothing leaves nothing to decide; ``pace`` is told of it if so."""
    return not length and not any(new) and pace.idles(began, text)


IDLED = torch.tensor(Row(behind=1.0), dtype=torch.float64)


def rested(rows: Float[Tensor, "B R"], counts: Int[Tensor, "B L"]) -> tuple[Tensor, Tensor, Tensor]:
    """What `paced` gives after a step of a rest: of every text one token more is unread, and one step more drafted none."""
    return no_draft(len(rows)), rows + IDLED, counts + of_no_draft(counts.shape[1])


@lru_cache
def no_draft(rows: int) -> Int[Tensor, "B 1"]:
    """The bucket of steps that draft nothing."""
    return torch.zeros(rows, 1, dtype=torch.int64)


@lru_cache
def of_no_draft(lengths: int) -> Int[Tensor, "L"]:
    """One step that drafted nothing, by how far it drafted."""
    return torch.eye(lengths, dtype=torch.int64)[0]


def before(rows: Float[Tensor, "B R"]) -> list[Row]:
    """What was kept of every row."""
    return [Row(*row) for row in rows.tolist()]


def decided(pace: Pacing, step: Taken, kept: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """What `paced` gives, once all that happened is numbers."""
    after = pace.after(step)
    longest = max((int(row.budget) for row, on in zip(after, step.live, strict=True) if on), default=step.length)
    counts = kept[1].tolist()
    for row, drafted in zip(counts, step.rows, strict=True):
        row[min(int(drafted.budget), step.length)] += 1
    choice, rows = np.array([[longest]] * len(after)), np.array(after, dtype=np.float64)
    return torch.from_numpy(choice), torch.from_numpy(rows), torch.from_numpy(np.array(counts))


UNTRIED = Tried(0, 0, 0)


def outcome(draft: tuple[Any, Any] | None, row: int, committed: list[int]) -> Tried:
    """What became of one chain: it is tested up to its first refusal, or up to the token that closed the step."""
    if draft is None:
        return UNTRIED
    tokens, real = draft[0][row], draft[1][row]
    offered = next((i for i, there in enumerate(real) if not there), len(real))
    agreed = (i for i, (mine, theirs) in enumerate(zip(tokens[:offered], committed, strict=False)) if mine != theirs)
    accepted = next(agreed, min(offered, len(committed)))
    return Tried(offered, accepted, min(accepted + 1, offered, len(committed)))


@op()
def within(rows: Float[Tensor, "B R"], length: int) -> Bool[Tensor, "B K"]:
    """The positions of a chain that each row's budget has room for."""
    return torch.arange(length) < rows[:, :1]
