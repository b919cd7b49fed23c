"""The frontier: a state whose rows are groups of hypotheses that extend together; its cache belongs to the group.

A view of a frontier has one text a row, as long as the hypotheses are; what it reads at each position of it is the group's own
business (`ops.inject`), since no single token stands there.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from penstock.ir.state import Sequence


@dataclass(kw_only=True)
class Frontier(Sequence):
    """``tokens [b,k,t]``: k hypotheses a row, all ``length [b]`` long; and those that have ended."""

    scores: Tensor
    """``[b,k]``: log of what each hypothesis is worth; -inf where there is none."""
    finished: Tensor
    """int64 ``[b,k,t]``: the best that ended, their end-of-text token included."""
    finished_length: Tensor
    """int64 ``[b,k]``."""
    finished_scores: Tensor
    """``[b,k]``: -inf where there is none."""

    @property
    def line(self) -> Tensor:
        return self.tokens[:, 0]

    @property
    def width(self) -> int:
        """k."""
        return self.tokens.shape[1]


def new_frontier(
    rows: int, width: int, capacity: int, *, key: Tensor, limit: int | Tensor, params: dict[str, Tensor] | None = None
) -> Frontier:
    """Groups of empty texts: one hypothesis each, so that the first step does not extend the same one k times."""
    zeros, none = torch.zeros(rows, dtype=torch.long), torch.full((rows, width), -torch.inf, dtype=torch.float64)
    scores = none.clone()
    scores[:, 0] = 0
    return Frontier(
        tokens=torch.zeros(rows, width, capacity, dtype=torch.long),
        length=zeros.clone(),
        status=zeros.clone(),
        steps=zeros.clone(),
        key=key.clone(),
        limit=limit.clone() if isinstance(limit, Tensor) else torch.full((rows,), limit),
        params=params or {},
        scores=scores,
        finished=torch.zeros(rows, width, capacity, dtype=torch.long),
        finished_length=torch.zeros(rows, width, dtype=torch.long),
        finished_scores=none,
    )


def hypotheses(seq: Frontier) -> list[list[tuple[list[int], float]]]:
    """By row the best k texts, ended or not, with their scores; ranked by score a token."""
    out = []
    for b in range(len(seq.length)):
        alive = [(seq.tokens[b, i, : seq.length[b]].tolist(), float(s)) for i, s in enumerate(seq.scores[b])]
        ended = [
            (seq.finished[b, i, : seq.finished_length[b, i]].tolist(), float(s)) for i, s in enumerate(seq.finished_scores[b])
        ]
        there = [(text, score) for text, score in ended + alive if score > -torch.inf]
        out.append(sorted(there, key=lambda each: -each[1] / max(len(each[0]), 1))[: seq.width])
    return out
