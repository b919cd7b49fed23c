"""Ops on the sequence and on registers."""

from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.rows import where_rows
from penstock.ir.state import EOS, LENGTH, RUNNING, Register, Sequence


@op("state", borrows=1)
def look(seq: Sequence) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """``(length, live, steps, key, limit)``, each ``[b]``."""
    return seq.length.clone(), seq.live, seq.steps.clone(), seq.key, seq.limit


@op("state", borrows=1)
def request_parameter(seq: Sequence, name: str) -> Tensor:
    """A parameter ``[b]`` that each request may set."""
    return seq.params[name]


@op("state", consumes=1, takes_live=True)
def append(
    seq: Sequence, tokens: Int[Tensor, "B M"], count: Int[Tensor, "B"], eos: tuple[int, ...], *, live: Bool[Tensor, "B"]
) -> tuple[Sequence]:
    """Commit ``count`` tokens a live row; one that ends on an end-of-text token or at its limit stops running."""
    rows, m = tokens.shape
    column = torch.arange(m)
    taken = (column < count[:, None]) & live[:, None]
    where = torch.arange(rows)[:, None].expand(rows, m)[taken], (seq.length[:, None] + column)[taken]
    seq.tokens[where] = tokens[taken]
    last = tokens.gather(1, (count[:, None] - 1).clamp(min=0))[:, 0]
    ended = live & torch.isin(last, torch.tensor(eos, dtype=torch.long))
    seq.length += torch.where(live, count, 0)
    seq.steps += live
    seq.status[ended] = EOS
    seq.status[live & (seq.status == RUNNING) & (seq.length >= seq.limit)] = LENGTH
    return (seq,)


@op("state", consumes=1, takes_live=True)
def end_rows(seq: Sequence, ended: Bool[Tensor, "B"], status: int, *, live: Bool[Tensor, "B"]) -> tuple[Sequence]:
    """Give the running rows where ``ended`` holds a status: a stop string, a pause at a marker."""
    seq.status[ended & live & (seq.status == RUNNING)] = status
    return (seq,)


@op("state", borrows=1)
def get(register: Register) -> Any:
    """What a register carries."""
    return register.value


@op("state", consumes=1, takes_live=True)
def put(register: Register, value: Any, *, live: Bool[Tensor, "B"]) -> tuple[Register]:
    """Carry a new value on the live rows."""
    register.value = where_rows(live, value, register.value)
    return (register,)
