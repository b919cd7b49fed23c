"""Every forward against one from scratch: what a column answered must be what its visible text alone would answer.

Without it a drafter's cache could rot unseen, because acceptance corrects any draft.
"""

from typing import Any

import torch
from torch import Tensor

from penstock.ir.canvas import Canvas
from penstock.ir.host import Feed
from penstock.ir.ops.forward import input_vectors, text_ids
from penstock.ir.ops.tree import ancestors
from penstock.ir.state import Sequence, View


class WrongForward(AssertionError):
    """A cached forward differs from one from scratch."""


class ForwardCheck:
    """Compares the logits of live rows' columns with the model run on each column's own text, without a cache."""

    def __init__(self, tolerance: float = 1e-9) -> None:
        self.tolerance, self.columns = tolerance, 0

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], value: tuple[Any, ...]) -> None:
        """``args`` and ``value`` of a forward that has just run (the view is already its new version)."""
        if len(value) == 1:  # a view caught up: what is read from it later tells
            return
        view, seq, logits = value[0], args[1], value[1]
        if isinstance(seq, Canvas):
            self.canvases(view, seq, args[2], args[3] & kwargs["live"][:, None], logits)
            return
        rows = kwargs["live"].nonzero()[:, 0]
        if view.trail is None or not len(rows):
            return
        text = text_vectors(view, seq)
        top = (kwargs.get("layers") or (0, view.model.layers))[1]
        returned = logits.shape[1] - (1 if kwargs.get("root") else 0)
        nodes = list(range(view.trail.shape[1] - returned, view.trail.shape[1]))
        columns = ([-1] if kwargs.get("root") else []) + nodes
        seen = ancestors(view.parents, len(text))
        for j, node in enumerate(columns):
            vectors, length = self.path(view, seq, text, seen, node)
            truth = view.model.from_scratch(vectors, top)[torch.arange(len(text)), length - 1]  # type: ignore[attr-defined]
            error = (truth - logits[:, j]).abs().amax(-1)[rows]
            self.columns += len(rows)
            if not float(error.max()) <= self.tolerance:
                which = "the root" if node < 0 else f"node {node}"
                raise WrongForward(f"{view.model.name}: at {which} a forward is {float(error.max()):.3g} from one from scratch")

    def canvases(self, view: View, seq: Canvas, tokens: Tensor, wanted: Tensor, logits: Tensor) -> None:
        """Every branch that was denoised, alone and whole."""
        for row, branch in wanted.nonzero().tolist():
            prompt, size = view.prefix[row, : view.prefix_length[row]], int(seq.length[row])
            vectors = view.model.embed(torch.cat([prompt, tokens[row, branch, :size]]))
            truth = view.model.from_scratch(vectors)[len(prompt) :]  # type: ignore[attr-defined]
            error = float((truth - logits[row, branch, :size]).abs().max())
            self.columns += size
            if not error <= self.tolerance:
                raise WrongForward(f"{view.model.name}: branch {branch} of row {row} is {error:.3g} from one from scratch")

    def path(self, view: View, seq: Sequence, text: Tensor, seen: Tensor, node: int) -> tuple[Tensor, Tensor]:
        """Input vectors of a column's own text, padded at the end, and their number ``[b]``."""
        length = view.length(seq)
        if node < 0:
            return text, length
        assert view.trail is not None
        mine = seen[:, node].expand(len(text), -1)
        room = torch.zeros(len(text), seen.shape[1], text.shape[2], dtype=text.dtype)
        out = torch.cat([text, room], 1)
        row, which = mine.nonzero(as_tuple=True)
        out[row, length[row] + mine.long().cumsum(1)[row, which] - 1] = view.trail[row, which]
        return out, length + mine.sum(1)


def text_vectors(view: View, seq: Sequence) -> Tensor:
    """``[b,t,w]``: what a view should read at each index of its text; zeros beyond it."""
    length = view.length(seq)
    index = torch.arange(int(length.max()))[None].expand(len(length), -1)
    feed = Feed(text_ids(view, seq, index), index, index, index)
    if view.override is not None and view.overridden is not None:
        suffix = (index - view.prefix_length[:, None]).clamp(min=0)
        rows = torch.arange(len(index))[:, None]
        feed.embeds, feed.use_embed = (
            view.override[rows, suffix],
            view.overridden[rows, suffix] & (index >= view.prefix_length[:, None]),
        )
    return torch.where((index < length[:, None])[..., None], input_vectors(feed, view), 0.0)
