"""What a new batch begins as: one row a request, nothing decoded, nothing cached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from penstock.ir.rows import State
from penstock.ir.runner import Request
from penstock.ir.state import Register
from penstock.passes.plan import Plan

Prompts = list[list[int]]


@dataclass(frozen=True)
class Beginning:
    """The rows of a new batch, before there is anything in them."""

    requests: Sequence[Request]
    key: Tensor
    limit: Tensor
    room: int
    """Suffix tokens and in-step nodes to make room for."""
    models: Mapping[str, Any]
    """By view; the first one's prompts are the texts that paths begin with."""

    @property
    def params(self) -> dict[str, Tensor]:
        """Each row's request parameters by name."""
        given = [request.params for request in self.requests]
        return {name: torch.tensor([row[name] for row in given], dtype=torch.float64) for name in given[0]}

    def prompts(self, view: str) -> Prompts:
        """Each row's prompt as a view has it; nothing where a request has none for it."""
        return [list(request.prompts.get(view, ())) for request in self.requests]


def beginning(requests: Sequence[Request], models: Mapping[str, Any], keys: Sequence[int], nodes: int) -> Beginning:
    """Rows for these requests, with room for ``nodes`` in-step nodes."""
    limits = [request.limit if request.canvas is None else len(request.canvas) for request in requests]
    return Beginning(requests, torch.tensor(keys), torch.tensor(limits), max(limits) + nodes + 1, models)


def registers_of(plan: Plan, rows: Beginning, hypotheses: int | None) -> State:
    """Path states from each row's prompt and request parameters, as many as it has hypotheses, and what stages carry."""
    first, model = next(iter(rows.models.items()))
    vocab, found = model.vocab, State()
    for p in plan.stages:
        if p.automaton:
            stages = [p.at(request.params, request.limit) for request in rows.requests]
            starts = [stage.start(prompt, vocab) for stage, prompt in zip(stages, rows.prompts(first), strict=True)]
            found[f"reg:{p.name}"] = Register(spread(batched(starts), hypotheses))
        for name, value in p.stage.registers(len(rows.requests), vocab).items():
            if f"reg:{name}" in found:
                raise p.wrong(f" carries {name}, as another stage of this pipeline does", fix="keep one of them")
            found[f"reg:{name}"] = Register(value)
    return found


def batched(values: list[Any]) -> Any:
    """Rows of equal structure as one batch."""
    return pytree.tree_map(lambda *leaf: torch.stack([torch.as_tensor(x) for x in leaf]), *values)


def spread(values: Any, hypotheses: int | None) -> Any:
    """What a row begins with, for each of its hypotheses."""
    if hypotheses is None:
        return values
    return pytree.tree_map(lambda x: x[:, None].expand(-1, hypotheses, *x.shape[1:]).clone(), values)
