"""Reading a row's own text back: what followed the last few tokens when they stood there before."""

from collections.abc import Sequence as Ids

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.state import Sequence, View


@op("host", borrows=2, takes_live=True)
def lookup(
    view: View, seq: Sequence, *, longest: int, length: int, live: Bool[Tensor, "B"]
) -> tuple[Int[Tensor, "B K"], Bool[Tensor, "B K"]]:
    """``(token, valid)``: up to ``length`` tokens that followed the first earlier place of the text's last few tokens.

    The last ``longest`` tokens are looked for first, then fewer, down to one; a row that finds none has no valid token.
    """
    rows = [continuation(text_of(view, seq, row), longest, length) if on else [] for row, on in enumerate(live.tolist())]
    token = torch.tensor([found + [0] * (length - len(found)) for found in rows])
    return token, torch.arange(length) < torch.tensor([[len(found)] for found in rows])


def text_of(view: View, seq: Sequence, row: int) -> list[int]:
    """A row's text in a view: its prefix and its suffix."""
    before, after = view.prefix[row, : view.prefix_length[row]], seq.tokens[row, : seq.length[row]]
    return [*before.tolist(), *after.tolist()]


def continuation(text: Ids[int], longest: int, length: int) -> list[int]:
    """What followed the longest ending of the text, of at most ``longest`` tokens, where it first stood before."""
    for n in range(min(longest, len(text) - 1), 0, -1):
        ending = tuple(text[-n:])
        for start in range(len(text) - n):
            if text[start] == ending[0] and tuple(text[start : start + n]) == ending:
                return list(text[start + n : start + n + length])
    return []


@op()
def one_hot(token: Int[Tensor, "B N"], vocab: int) -> Tensor:
    """``[b,n,v]``: certainty of each token."""
    return torch.nn.functional.one_hot(token, vocab).float()
