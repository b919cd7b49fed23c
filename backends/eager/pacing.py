"""The pace of drafts on the host, where a step's tokens are numbers already."""

from typing import Any

from torch import Tensor

from penstock.backends.eager.places import Numbers
from penstock.ir.ops.pacing import IDLED, Pacing, Taken, before, decided, no_draft, of_no_draft, outcome, rested, rests
from penstock.ir.state import Sequence, View


def started(view: View, seq: Sequence, pace: Pacing, *, live: Numbers) -> tuple[Any, Numbers, Numbers]:
    lengths = seq.length.tolist()
    text = [prefix + length for prefix, length in zip(view.prefix_length.tolist(), lengths, strict=True)]
    return pace.now(), text, [not length for length in lengths]


def paced(
    pace: Any,
    length: int,
    began: Any,
    text: Numbers,
    new: Numbers,
    kept: tuple[Tensor, Tensor],
    draft: Numbers | None,
    token: Numbers,
    count: Numbers,
    *,
    live: Numbers,
) -> tuple[Tensor, Tensor, Tensor]:
    if rests(pace, length, began, text, new):
        return rested_in_place(*kept) if all(live) else rested(*kept)
    tried = [outcome(draft, row, committed[: count[row]]) for row, committed in enumerate(token)]
    return decided(pace, Taken(length, began, text, new, live, before(kept[0]), tried), kept)


def rested_in_place(rows: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `rested`, which linear handles allow: what a step of a rest does is what it costs."""
    return no_draft(len(rows)), rows.add_(IDLED), counts.add_(of_no_draft(counts.shape[1]))


def within(rows: Tensor, length: int) -> Numbers:
    return [[place < row[0] for place in range(length)] for row in rows.tolist()]
