"""The handles of a decoder: the sequence, its views, its registers.

A row owns its generated suffix once. A view adds a prefix of its own; a view's *text* is its prefix and then the suffix.
Text index, slot and position agree for every committed token; node i of a step's draft sits at slot ``text length + i``.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from penstock.ir.host import Cache, Model
from penstock.ir.rows import Rows

RUNNING, PAUSED, EOS, STOP, LENGTH, ERROR = range(6)
STATUS = ("running", "paused", "eos", "stop", "length", "error")


@dataclass
class Sequence(Rows):
    """The generated suffix of each row and how it stands."""

    tokens: Tensor
    """int64 ``[b,t]``: the suffix; beyond ``length`` zeros."""
    length: Tensor
    """int64 ``[b]``."""
    status: Tensor
    """int64 ``[b]``: one of the constants above; a row is live while RUNNING."""
    steps: Tensor
    """int64 ``[b]``: steps this row has taken; a coordinate of acceptance and draft noise."""
    key: Tensor
    """int64 ``[b]``: the request key that all of the row's noise derives from."""
    limit: Tensor
    """int64 ``[b]``: the length at which the row ends."""
    params: dict[str, Tensor] = field(default_factory=dict)
    """Request parameters by name, ``[b]``."""

    @property
    def live(self) -> Tensor:
        return self.status == RUNNING

    @property
    def line(self) -> Tensor:
        """int64 ``[b,t]``: the ids that views of the row read, where they have no vectors of their own."""
        return self.tokens


@dataclass
class View(Rows):
    """A model, a prefix of its own, and a slot cache of their text."""

    model: Model
    prefix: Tensor
    """int64 ``[b,p]``; beyond ``prefix_length`` zeros."""
    prefix_length: Tensor
    """int64 ``[b]``."""
    cached: Tensor
    """int64 ``[b]``: how many tokens of the text have their slot; the root and the gap before it are due."""
    cache: Cache
    fed: Tensor
    """int64 ``[b]``: in-step nodes that this row has in slots, and not all."""
    forwards: Tensor
    """float64 ``[b]``: forwards that steps have made for this row and not for all; of some layers only, their share of all."""
    parents: tuple[int, ...] | Tensor = ()
    """Parent node (-1: the root) of each in-step node: a tuple where the topology is constant, else ``[b,n]``."""
    spent: float = 0.0
    """Forwards that steps have made for every row."""
    common: int = 0
    """In-step nodes that every row has in slots."""
    override: Tensor | None = None
    """``[b,t,w]``: input vectors of suffix positions whose input is not their token's embedding."""
    overridden: Tensor | None = None
    """bool ``[b,t]``."""
    trail: Tensor | None = None
    """``[b,n,w]``: input vectors of the in-step nodes, recorded only where every forward is checked against one from scratch."""

    @property
    def made(self) -> Tensor:
        """``[b]``: forwards that steps have made for each row."""
        return self.forwards + self.spent

    @property
    def nodes(self) -> Tensor:
        """``[b]``: in-step nodes that each row has in slots."""
        return self.fed + self.common

    def share(self, layers: tuple[int, int] | None) -> float:
        """How much of a forward a range of layers is."""
        return 1.0 if layers is None else (layers[1] - layers[0]) / self.model.layers

    def length(self, seq: Sequence) -> Tensor:
        """``[b]``: tokens in this view's text."""
        return self.prefix_length + seq.length

    def allow_overrides(self, positions: int) -> None:
        """Make an override table of as many suffix positions where there is none: it is large, and most views need none."""
        if self.override is None:
            like = self.model.embed(self.prefix[:, :1])
            self.override = like.new_zeros(len(like), positions, like.shape[-1])
            self.overridden = torch.zeros(len(like), positions, dtype=torch.bool)

    def cat(self, *others: "View") -> "View":
        """As `Rows.cat`, also where only some have an override table."""
        views = (self, *others)
        for view in views:
            view.forwards, view.spent = view.made, 0.0
        positions = max((view.overridden.shape[1] for view in views if view.overridden is not None), default=0)
        for view in views if positions else ():
            view.allow_overrides(positions)
        return super().cat(*others)


@dataclass
class Register(Rows):
    """A value carried from step to step: path state, a Decision, carried probes."""

    value: Any
    """A tensor ``[b,...]``, or a tuple or dict of them."""


def new_sequence(
    rows: int, capacity: int, *, key: Tensor, limit: int | Tensor, params: dict[str, Tensor] | None = None
) -> Sequence:
    """A batch of empty suffixes."""
    zeros = torch.zeros(rows, dtype=torch.long)
    limits = limit.clone() if isinstance(limit, Tensor) else torch.full((rows,), limit)
    tokens = torch.zeros(rows, capacity, dtype=torch.long)
    return Sequence(tokens, zeros.clone(), zeros.clone(), zeros.clone(), key.clone(), limits, params or {})


def new_view(model: Model, prompts: list[list[int]], capacity: int) -> View:
    """A view of each row's prompt with nothing cached; ``capacity``: suffix tokens plus in-step nodes to make room for."""
    rows, longest = len(prompts), max(1, *map(len, prompts))
    prefix = torch.tensor([ids + [0] * (longest - len(ids)) for ids in prompts])
    lengths = torch.tensor([len(ids) for ids in prompts])
    zeros = torch.zeros(rows, dtype=torch.long)
    cache, none = model.new_cache(rows, longest + capacity), torch.zeros(rows, dtype=torch.float64)
    return View(model, prefix, lengths, zeros.clone(), cache, zeros.clone(), none)
