"""Reading a row's own text back: up to every site, and what followed the last few tokens when they stood there before."""

from collections.abc import Sequence as Ids

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.functional import pad

from penstock.ir.op import op
from penstock.ir.ops.forward import text_ids
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


@op("state", borrows=2)
def text_by_site(
    view: View, seq: Sequence, parent_site: Int[Tensor, "B N"] | None, token: Int[Tensor, "B N"] | None, depth: int, prompt: bool
) -> Int[Tensor, "B S W"]:
    """What has been said where each site is read, ``[b,1+n,w]``: the view's text, its prefix only with ``prompt``, then the path.

    Aligned at the end; -1 before it begins. ``depth``: the longest path; without a draft the root is the only site.
    """
    length = view.length(seq)
    index = length[:, None] + torch.arange(-int(length.max()), 0)
    begin = 0 if prompt else view.prefix_length[:, None]
    text = torch.where(index >= begin, text_ids(view, seq, index.clamp(min=0)), -1)
    if parent_site is None or token is None:
        return text[:, None]
    rows, n = token.shape
    said = pad(text, (depth, 0), value=-1)[:, None].repeat(1, 1 + n, 1)
    for i in range(n):
        said[:, i + 1] = torch.cat([said[torch.arange(rows), parent_site[:, i], 1:], token[:, i : i + 1]], 1)
    return said


@op()
def one_hot(token: Int[Tensor, "B N"], vocab: int) -> Tensor:
    """``[b,n,v]``: certainty of each token."""
    return torch.nn.functional.one_hot(token, vocab).float()
