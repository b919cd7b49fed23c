"""State is rows: it can be taken, joined, put and dropped by row."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import pad


def take(value: Any, rows: Tensor) -> Any:
    """The rows of a value, copied; what has no rows (numbers, models, scalars) is shared."""
    if isinstance(value, Tensor):
        return value[rows] if value.dim() else value
    if isinstance(value, tuple | list):
        return type(value)(take(item, rows) for item in value)
    if isinstance(value, dict):
        return {name: take(item, rows) for name, item in value.items()}
    return value.take(rows) if hasattr(value, "take") else value


def cat(value: Any, *others: Any) -> Any:
    """The rows of all these values in one, copied; smaller buffers end in zeros, and what rows share must be the same."""
    if isinstance(value, Tensor) and value.dim():
        sizes = [max(size) for size in zip(*(part.shape[1:] for part in (value, *others)), strict=True)]
        return torch.cat([padded(part, sizes) for part in (value, *others)])
    if isinstance(value, tuple | list):
        return type(value)(cat(*parts) for parts in zip(value, *others, strict=True))
    if isinstance(value, dict):
        return {name: cat(item, *(other[name] for other in others)) for name, item in value.items()}
    if hasattr(value, "cat"):
        return value.cat(*others)
    if not all(other is value or other == value for other in others):
        raise ValueError(f"rows that share {value!r} cannot stand beside rows that share another {type(value).__name__}")
    return value


def padded(value: Tensor, sizes: list[int]) -> Tensor:
    """``value [b,...]`` with zeros after its end in every other dimension, up to these sizes."""
    missing = [size - mine for size, mine in zip(sizes, value.shape[1:], strict=True)]
    return pad(value, [n for size in reversed(missing) for n in (0, size)]) if any(missing) else value


def leaves(value: Any) -> list[Tensor]:
    """Every tensor with rows that a value holds, in a fixed order."""
    if isinstance(value, Tensor):
        return [value] if value.dim() else []
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, dict):
        return [leaf for name in sorted(value) for leaf in leaves(value[name])]
    return list(value.leaves()) if hasattr(value, "leaves") else []


def where_rows(mask: Tensor, new: Any, old: Any) -> Any:
    """Row by row: ``new`` where the mask holds, else ``old``."""
    if isinstance(new, Tensor):
        return torch.where(mask.view(-1, *[1] * (new.dim() - 1)), new, old)
    if isinstance(new, tuple | list):
        return type(new)(where_rows(mask, a, b) for a, b in zip(new, old, strict=True))
    return {name: where_rows(mask, item, old[name]) for name, item in new.items()}


@dataclass
class Rows:
    """A handle: a record of tensors ``[b, ...]`` and of things all rows share.

    Handles are linear: an op that consumes one may mutate it, because nobody else holds that version; `take` copies.
    """

    def take(self, rows: Tensor) -> Self:
        return replace(self, **{f.name: take(getattr(self, f.name), rows) for f in fields(self)})

    def cat(self, *others: Self) -> Self:
        return replace(
            self, **{f.name: cat(getattr(self, f.name), *(getattr(other, f.name) for other in others)) for f in fields(self)}
        )

    def leaves(self) -> list[Tensor]:
        return [leaf for f in fields(self) for leaf in leaves(getattr(self, f.name))]


State = dict[str, Rows]
"""A decoder's whole state: handle by name (``seq``, ``view:target``, ``reg:penalty``)."""


def take_state(state: State, rows: Tensor) -> State:
    return {name: handle.take(rows) for name, handle in state.items()}


def cat_states(*states: State) -> State:
    """The rows of all these states as one; buffers of unequal size are padded, which moves nothing."""
    first, *others = states
    return {name: handle.cat(*(other[name] for other in others)) for name, handle in first.items()}


def row_count(state: State) -> int:
    """How many rows a state has."""
    return len(leaves(next(iter(state.values())))[0])


def put_state(state: State, rows: Tensor, other: State) -> State:
    """``state`` with these rows (each once) replaced by the rows of ``other``, whose buffers may have another size."""
    index = torch.arange(count := row_count(state)).index_copy(0, rows, count + torch.arange(len(rows)))
    return take_state(cat_states(state, other), index)


def drop_state(state: State, rows: Tensor) -> State:
    """``state`` without these rows."""
    kept = torch.ones(row_count(state), dtype=torch.bool).index_fill(0, rows, False)
    return take_state(state, kept.nonzero()[:, 0])
