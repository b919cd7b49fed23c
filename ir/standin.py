"""Stand-in models: the shapes of a model without its weights, for tracing and for `check`."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penstock.ir.example import waves
from penstock.ir.host import Feed, Forwarded, Model


class NoCache:
    """A cache that only has room."""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def take(self, rows: Tensor) -> "NoCache":
        return self

    def cat(self, *others: "NoCache") -> "NoCache":
        return NoCache(max(cache.slots for cache in (self, *others)))

    def move(self, source: Tensor, target: Tensor) -> None:
        pass

    def clear_from(self, first: Tensor) -> None:
        pass

    def leaves(self) -> Sequence[Tensor]:
        return ()


@dataclass(frozen=True)
class StandIn:
    """A model's facts, answering with logits of the right shape that differ everywhere, so that lints can tell rows."""

    name: str
    vocab: int
    width: int = 8
    layers: int = 2
    capabilities: frozenset[str] = frozenset()
    mask: int | None = None

    @classmethod
    def of(cls, model: Model) -> "StandIn":
        """The facts of a model that is there."""
        return cls(model.name, model.vocab, model.width, model.layers, model.capabilities, model.mask)

    def new_cache(self, rows: int, slots: int) -> NoCache:
        return NoCache(slots)

    def embed(self, ids: Tensor) -> Tensor:
        return torch.zeros(*ids.shape, self.width)

    def forward(self, cache: NoCache, feed: Feed) -> Forwarded:
        low, high = feed.layers or (0, self.layers)
        state = waves(*feed.ids.shape, self.width)
        return Forwarded(waves(*feed.ids.shape, self.vocab), (state,) * (high - low) if feed.want_hidden else ())

    def head(self, states: Tensor) -> Tensor:
        return waves(*states.shape[:-1], self.vocab)
