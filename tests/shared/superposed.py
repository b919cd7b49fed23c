"""Superposed decoding (SPD, arXiv 2405.18400): k short texts for the price of one forward a token."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from penstock.dsl.names import ModelName
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.op import op
from penstock.ir.ops.frontier import endings, likeliest, mixture
from penstock.ir.ops.inject import at_root, inject
from penstock.ir.ops.logits import scale
from penstock.ir.ops.rows import widened

MULTIPLIER = 6364136223846793005


class NGrams:
    """Counts of n-grams by hash, looked up for all hypotheses, candidates and orders at once by binary search."""

    def __init__(self, texts: Sequence[Sequence[int]], shares: Mapping[int, float]) -> None:
        """``shares``: the weight of each order n, at least 2."""
        self.shares = dict(shares)
        self.counts: dict[tuple[int, bool], tuple[Tensor, Tensor]] = {}
        for n in shares:
            grams = Counter(tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1))
            contexts: Counter[tuple[int, ...]] = Counter()
            for gram, count in grams.items():
                contexts[gram[:-1]] += count
            self.counts[n, True], self.counts[n, False] = (by_hash(each) for each in (grams, contexts))

    def count(self, n: int, whole: bool, ids: Tensor) -> Tensor:
        """How often each ``[..., n]`` (its first ``n - 1``: not ``whole``) was seen."""
        keys, counts = self.counts[n, whole]
        place = torch.searchsorted(keys, hashed(ids)).clamp(max=len(keys) - 1)
        return torch.where(keys[place] == hashed(ids), counts[place], 0.0)


def hashed(ids: Tensor) -> Tensor:
    """int64 ``[...]`` of ``[..., n]``: what wraps around still tells n-grams apart."""
    word = torch.full_like(ids[..., 0], ids.shape[-1])
    for i in range(ids.shape[-1]):
        word = (word + ids[..., i] + 1) * MULTIPLIER
    return word


def by_hash(counts: Mapping[tuple[int, ...], int]) -> tuple[Tensor, Tensor]:
    """Hashes in order, and their counts."""
    keys, order = hashed(torch.tensor(list(counts), dtype=torch.long).reshape(len(counts), -1)).sort()
    return keys, torch.tensor(list(counts.values()), dtype=torch.float64)[order]


@op()
def ngram_share(table: NGrams, context: Int[Tensor, "B K M"], token: Int[Tensor, "B C"]) -> Float[Tensor, "B K C"]:
    """``sum_n lambda_n count(context_n, v) / count(context_n)``; an order whose context was never seen adds nothing."""
    total = torch.zeros(*context.shape[:2], token.shape[1], dtype=torch.float64)
    for n, share in table.shares.items():
        before = context[:, :, context.shape[2] - (n - 1) :]
        both = before[:, :, None].expand(-1, -1, token.shape[1], -1), token[:, None, :, None].expand(-1, before.shape[1], -1, 1)
        gram = torch.cat(both, -1)
        seen = table.count(n, False, before)[..., None]
        total += share * torch.where((before >= 0).all(-1)[..., None], table.count(n, True, gram) / seen.clamp(min=1), 0.0)
    return total


@op()
def interpolated(
    log_p: Float[Tensor, "B C"], share: Float[Tensor, "B K C"], alpha: float, penalty: float
) -> Float[Tensor, "B K C"]:
    """``(1 - alpha) log p + alpha log share``: the geometric mean; where no candidate has a share, a penalty instead of it."""
    known = (1 - alpha) * log_p[:, None].expand_as(share) if alpha < 1 else torch.zeros_like(share)
    none = (share == 0).all(-1, keepdim=True)
    return torch.where(none, known - penalty, known + alpha * share.log()) if alpha else known


class Superposed(Stage):
    """One sequence of mixed inputs proposes for k hypotheses; n-grams of each one's own text tell them apart."""

    kind: ClassVar[str] = "search.superposed"
    role: ClassVar[Role] = "scorer"
    effect: ClassVar[Effect] = "approximates"
    needs: ClassVar[frozenset[str]] = frozenset({"embeds"})

    model: ModelName
    width: int = 3
    """Hypotheses (the paper's k)."""
    keep: int = 9
    """Candidate tokens a step (C)."""
    tau: float = 0.06
    alpha: float = 0.54
    penalty: float = 200.0
    table: Any = None
    """N-grams (`NGrams`); without them only the model tells hypotheses apart."""

    @property
    def seat(self) -> str:
        return self.model

    def views(self) -> dict[str, str]:
        return {self.seat: self.model}

    def extend_group(self, step: Any, stage: str) -> tuple[Any, Any]:
        """Tokens ``[b,c]`` with ``log p_f [b,k,c]``: one forward for all hypotheses."""
        logits, _ = step.forward(self.seat)
        token, log_p = likeliest(scale(at_root(logits), self.tau), self.keep)
        if self.table is None:
            return token, widened(log_p, self.width)
        context = endings("seq", f"view:{self.seat}", max(self.table.shares) - 1)
        return token, interpolated(log_p, ngram_share(self.table, context, token), self.alpha, self.penalty)

    def settle(self, step: Any, stage: str) -> None:
        """What the next forward reads: the mixture of what the hypotheses end in."""
        inject(f"view:{self.seat}", "seq", mixture("seq", f"view:{self.seat}"), step.length)
