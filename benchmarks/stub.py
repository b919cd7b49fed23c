"""Models that cost next to nothing: logits looked up by token and position, in a time that is counted and can be taken off."""

from dataclasses import dataclass, field
from time import perf_counter_ns

import torch
from torch import Tensor

from penstock.ir.host import Feed, Forwarded
from penstock.ir.standin import NoCache

ROWS = 61
"""Different rows of logits, a prime, so that token and position scatter over them."""


@dataclass
class Stub:
    """A model whose answer at a column depends on its token and position alone; slots and masks are built for it as for any."""

    name: str
    table: Tensor
    """``[ROWS,v]``."""
    width: int = 8
    layers: int = 2
    capabilities: frozenset[str] = frozenset({"tree"})
    mask: int | None = None
    spent: int = field(default=0, compare=False)
    """Nanoseconds in forwards so far."""

    @property
    def vocab(self) -> int:
        return self.table.shape[1]

    def new_cache(self, rows: int, slots: int) -> NoCache:
        return NoCache(slots)

    def embed(self, ids: Tensor) -> Tensor:
        return torch.zeros(*ids.shape, self.width)

    def forward(self, cache: NoCache, feed: Feed) -> Forwarded:
        begun = perf_counter_ns()
        rows = (feed.ids * 7 + feed.positions) % ROWS
        out = Forwarded(self.table[rows if feed.read is None else rows[:, -feed.read :]])
        self.spent += perf_counter_ns() - begun
        return out


def logits(vocab: int) -> Tensor:
    """``[ROWS,vocab]``: a few likely tokens on a long tail, as language has."""
    draws = torch.Generator().manual_seed(0)
    table = torch.randn(ROWS, vocab, generator=draws) * 2
    likely = torch.randint(0, vocab, (ROWS, 8), generator=draws)
    return table.scatter_add_(1, likely, torch.randn(ROWS, 8, generator=draws).abs() * 3 + 6)


def pair(vocab: int, agreement: float = 1.0) -> tuple[Stub, Stub]:
    """A target and a drafter that partly agree: the drafter's logits are the target's and some noise."""
    target, draws = logits(vocab), torch.Generator().manual_seed(1)
    drafter = target + torch.randn(ROWS, vocab, generator=draws) / agreement
    return Stub("target", target), Stub("drafter", drafter)
