"""A toy grammar: a finite automaton over token ids, for certifying whatever composes with a grammar."""

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.dsl.tokens import PerToken

Table = tuple[tuple[Annotated[int, Field(ge=-1)], ...], ...]


class ToyGrammar(Stage):
    """``table[state][token]`` is the next state, -1 where the token is forbidden; the prompt does not move it."""

    kind: ClassVar[str] = "constraint.automaton"
    role: ClassVar[Role] = "transform"
    effect: ClassVar[Effect] = "steers"
    hard_mask: ClassVar[bool] = True

    table: Annotated[Table, Field(min_length=1, examples=["[[0, 1], [0, -1]]"]), PerToken()]
    """Rows are states, columns tokens."""

    @field_validator("table")
    @classmethod
    def _leads_somewhere(cls, table: Table) -> Table:
        for state, row in enumerate(table):
            if len(row) != len(table[0]):
                raise ValueError(f"row {state} has {len(row)} entries, row 0 has {len(table[0])}")
            if any(after >= len(table) for after in row):
                raise ValueError(f"row {state} leads to state {max(row)}, and the last one is {len(table) - 1}")
        return table

    @classmethod
    def over(cls, vocab: int) -> "ToyGrammar":
        """No token with an odd id twice in a row."""
        after = [1 if token % 2 else 0 for token in range(vocab)]
        return cls(table=(tuple(after), tuple(-1 if token % 2 else 0 for token in range(vocab))))

    def start(self, prompt: list[int], vocab: int) -> Tensor:
        return torch.tensor(0)

    def step(self, state: Tensor, token: Tensor, raw: Any) -> Tensor:
        return torch.tensor(self.table)[state, token].clamp(min=0)

    def read(self, state: Tensor, logits: Tensor) -> Tensor:
        return logits.masked_fill(torch.tensor(self.table)[state] < 0, -torch.inf)

    def small(self, v: int) -> "ToyGrammar":
        return self.over(v)
