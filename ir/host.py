"""Protocols of what lives outside a graph: models, their slot caches, tokenizers.

Protocols, not base classes: `ir` must not know transformers, and a third-party adapter must not need to import `ir` to fit.
Shapes: b rows, n columns of one call, S slots of a buffer, w embedding width, v vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(slots=True)
class Feed:
    """What one forward call of a view is asked: one column a token, in slot order.

    A void column (a row with a shorter gap, an idle row) has slot S, the trash slot; its output is ignored, and it may see
    anything finite.
    """

    ids: Tensor
    """int64 ``[b,n]``; any id where ``use_embed``."""
    slots: Tensor
    """int64 ``[b,n]``: the slot each column's keys and values are written to."""
    positions: Tensor
    """int64 ``[b,n]``: logical positions (two siblings share one)."""
    visible: Tensor
    """bool ``[b,n,e]``: the slots each column attends to, itself included, among the first ``e <= S + 1``."""
    embeds: Tensor | None = None
    """``[b,n,w]``: input vectors for the columns that ``use_embed`` selects."""
    use_embed: Tensor | None = None
    """bool ``[b,n]``."""
    layers: tuple[int, int] | None = None
    """Half-open range of layers to run; ``None`` runs all. The head (final norm and logits) always follows."""
    hidden: Tensor | None = None
    """``[b,n,w]``: states to start from where ``layers`` does not begin at 0."""
    want_hidden: bool = False
    """Return the states after every layer that was run."""
    read: int | None = None
    """Only so many of the last columns' logits are read, if not all; a model may leave out those before."""


@dataclass(slots=True)
class Forwarded:
    """What a model answers, column by column."""

    logits: Tensor
    """``[b,n,v]``, of the head on the last layer run."""
    hidden: tuple[Tensor, ...] = ()
    """Entry i: ``[b,n,w]``, the state (before the final norm) after layer ``layers[0] + i``; empty unless wanted."""


class Cache(Protocol):
    """Keys and values by slot, one buffer a view; mutated in place, which is legal because handles are linear."""

    slots: int

    def take(self, rows: Tensor) -> "Cache":
        """A new cache holding copies of these rows, in this order (a row may repeat)."""
        ...

    def cat(self, *others: Any) -> "Cache":
        """A new cache holding copies of all rows, as many slots as the largest; the others are caches of the same model."""
        ...

    def move(self, source: Tensor, target: Tensor) -> None:
        """Copy slot ``source[b,j]`` over slot ``target[b,j]`` for all j at once (read before written); S is the trash slot."""
        ...

    def clear_from(self, first: Tensor) -> None:
        """Zero every slot at or beyond ``first [b]``, so that equal texts have equal caches."""
        ...

    def leaves(self) -> Sequence[Tensor]:
        """The tensors that make up the state, rows leading."""
        ...


class Model(Protocol):
    """A model as a view sees it: embeddings in or ids in, logits by column out, all context through slots, mask and positions."""

    name: str
    vocab: int
    width: int
    layers: int
    capabilities: frozenset[str]
    """Of: tree, chunk, embeds, layers, hidden, kv_read, window, encoder, bidirectional, stack."""
    mask: int | None
    """The id that stands, on a canvas, for a token that is wanted; None where the model has none."""

    def new_cache(self, rows: int, slots: int) -> Cache:
        """An empty cache of ``slots`` slots and one trash slot."""
        ...

    def embed(self, ids: Tensor) -> Tensor:
        """``[...] -> [...,w]``: the vectors that ids stand for, scaled as the model scales them."""
        ...

    def forward(self, cache: Cache, feed: Feed) -> Forwarded:
        """Write each column to its slot, then attend as ``visible`` says."""
        ...

    def forward_stacked(self, caches: Sequence[Any], feeds: Sequence[Feed]) -> list[Forwarded]:
        """`forward` of each cache with its own feed, in one call (capability ``stack``); feeds are of ids, for all layers."""
        ...

    def head(self, states: Tensor) -> Tensor:
        """``[..., w] -> [..., v]``: final norm and logits of states that layers left (capability ``hidden``)."""
        ...


class Text(Protocol):
    """A tokenizer as the runtime sees it."""

    eos: frozenset[int]
    vocab: int
    """How many ids stand for a token."""
    mask: int | None
    """The id that stands for a token that is wanted, if there is one."""

    @property
    def pieces(self) -> Sequence[bytes]:
        """By id, the bytes that a token adds to a text; of a special one its name."""
        ...

    @property
    def special(self) -> frozenset[int]:
        """The ids that are no part of a text: markers, and ids that nothing has."""
        ...

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Its ids; ``special``: with what goes around a prompt, such as a start token."""
        ...

    def dialogue(self, messages: Any) -> str:
        """A dialogue, ``[{"role": ..., "content": ...}]``, as a prompt for the next turn. Raises PenstockError."""
        ...

    def decode(self, ids: Sequence[int]) -> str: ...
