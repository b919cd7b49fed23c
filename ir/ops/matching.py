"""A grammar's matcher as path state: a number a site, given out by the host, which keeps what it stands for.

Equal texts have equal numbers and what follows from one never changes, so the numbers can be taken, joined, forked and compared
like any other state, at every site of a tree. Matchers are advanced and masks made when a site is read, and only then.
"""

from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.logits import over


class Matching(Protocol):
    """A grammar over a vocabulary, its states numbered as texts bring it there; 0 is where generation begins."""

    def after(self, state: int, token: int) -> int:
        """The state one token further, one that nothing may follow where the token is forbidden."""
        ...

    def allowed(self, state: int, limit: int | None) -> Bool[Tensor, "V"]:
        """What may come next where a text ends at ``limit`` tokens: the end of text exactly where the grammar's own may end."""
        ...

    def forced(self, state: int, most: int) -> list[int]:
        """The tokens, at most so many, of what any text must go on with."""
        ...


@op("host")
def matched(grammar: Matching, state: Int[Tensor, "*B"], token: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
    """The states that tokens lead to."""
    pairs = zip(state.flatten().tolist(), token.flatten().tolist(), strict=True)
    return torch.tensor([grammar.after(*pair) for pair in pairs], dtype=torch.long).view(state.shape)


@op("host")
def allowed(
    grammar: Matching, state: Int[Tensor, "*B"], limit: int | Int[Tensor, "B"] | None
) -> Bool[Tensor, "*B G"]:
    """What may come next, over the grammar's vocabulary."""
    limits = [None] * state.numel() if limit is None else over(limit, state).expand(state.shape).flatten().tolist()
    masks = [grammar.allowed(*pair) for pair in zip(state.flatten().tolist(), limits, strict=True)]
    return (torch.stack(masks) if len(masks) > 1 else masks[0]).view(*state.shape, -1)


@op()
def only(logits: Float[Tensor, "*B V"], mask: Bool[Tensor, "*B G"]) -> Float[Tensor, "*B V"]:
    """Logits of what may come next, ``-inf`` elsewhere, columns beyond the grammar's vocabulary too."""
    size = logits.shape[-1]
    mask = torch.nn.functional.pad(mask[..., :size], (0, max(size - mask.shape[-1], 0)))
    return logits.masked_fill(~mask, -torch.inf)


@op("host")
def forced(grammar: Matching, state: Int[Tensor, "B"], length: int) -> tuple[Int[Tensor, "B K"], Bool[Tensor, "B K"]]:
    """``(token, valid)``: up to ``length`` tokens of what any text must go on with, by row."""
    found = [grammar.forced(each, length) for each in state.tolist()]
    token = torch.tensor([tokens + [0] * (length - len(tokens)) for tokens in found])
    return token, torch.arange(length) < torch.tensor([[len(tokens)] for tokens in found])
