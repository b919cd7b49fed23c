"""Drafters of one path, whose length is a number or is decided step by step."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor

from penstock.dsl.declared import Declared
from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage
from penstock.ir.host import Text
from penstock.ir.ops.pacing import Row, paced, started, within
from penstock.ir.ops.sequence import put
from penstock.ir.ports import Commit
from penstock.library.pacing.controller import Controller
from penstock.library.pacing.rota import Rota

LONGEST = 8
CHOICE, ROWS, LENGTHS = "auto.length", "auto.rows", "draft_lengths"
"""Registers: the bucket of the next step, what is kept of every row, how many steps drafted 0, 1, 2 ... tokens."""


class Auto(Declared):
    """A length that follows what is accepted and what steps take: ``auto`` for short, or ``{auto: 16}``."""

    longest: Annotated[int, Field(alias="auto", ge=1, le=64)] = LONGEST
    """The most tokens drafted; none may be chosen too, which is a plain step."""
    by_row: bool = False
    """Share a batch's drafts out by how much of each row's is accepted. All rows of a step are as wide as the widest, so it saves
    no time where a step is one rectangle, as it is here."""


Length = Annotated[int, Field(ge=1, le=64)] | Literal["auto"] | Auto
"""How many tokens a chain has."""


class Chain(Stage):
    """A drafter of one path; with ``length: auto`` every step decides how far the next draft goes (arXiv 2406.14066)."""

    role: ClassVar[Role] = "drafter"
    effect: ClassVar[Effect] = "accelerates"

    if TYPE_CHECKING:  # each drafter declares it, with its own default and among its own fields
        length: Length
    _pace: Any = PrivateAttr(None)
    """What decides, once the stage is bound to a machine."""

    @property
    def auto(self) -> Auto | None:
        """How the length is chosen, where it is."""
        return Auto() if self.length == "auto" else self.length if isinstance(self.length, Auto) else None

    @property
    def most(self) -> int:
        """The most tokens that a path has."""
        return self.auto.longest if self.auto else self.length  # type: ignore[return-value]

    @property
    def room(self) -> int:
        """In-step nodes that views need slots for."""
        return self.most

    @property
    def decision(self) -> str | None:  # type: ignore[override]
        """The register that the next step's graph is picked by."""
        return CHOICE if self.auto else None

    @property
    def clocked(self) -> bool:  # type: ignore[override]
        """Whether what it drafts depends on how long steps take."""
        return self.auto is not None

    @property
    def shown(self) -> tuple[str, ...]:  # type: ignore[override]
        """Registers that are read off when a row is done."""
        return (LENGTHS,) if self.auto else ()

    @property
    def remark(self) -> str:
        if self.auto is None:
            return ""
        how = "as many as are worth most by what was accepted and what steps took"
        return f"drafts 0 to {self.most} tokens, {how}; {LENGTHS} tells them"

    @property
    def pace(self) -> Any:
        """What decides: before it is bound to a machine, every length in turn."""
        return self._pace or Rota((self.most, *range(self.most)))

    def knowing(self, text: Text) -> Self:
        if self.auto is None:
            return self
        return self.paced_by(Controller(self.auto.longest, self.auto.by_row))

    def paced_by(self, pace: Any) -> Self:
        """The same drafter, its lengths decided by this."""
        bound = self.model_copy()
        bound._pace = pace
        return bound

    def registers(self, rows: int, vocab: int) -> dict[str, Any]:
        if self.auto is None:
            return {}
        first = self.pace.opening(rows)
        kept: Tensor = torch.tensor([Row(first)] * rows, dtype=torch.float64)
        counts = torch.zeros(rows, self.most + 1, dtype=torch.long)
        return {CHOICE: torch.full((rows, 1), first), ROWS: kept, LENGTHS: counts}

    def drafting(self, step: Any) -> int:
        """How many tokens this step's graph drafts; of a step that is to be timed, the clock is read here."""
        if self.auto is None:
            return self.length  # type: ignore[return-value]
        step.started = started(f"view:{step.seat}", "seq", self.pace)
        length: int = step.bucket[0]
        return length

    def within(self, step: Any, length: int) -> Any:
        """The nodes that each row's budget has room for; None where that is all."""
        return None if self.auto is None else within(step.read(ROWS), length)

    def room_for(self, step: Any, valid: Any) -> Any:
        """Of nodes that may be real, those that each row's budget has room for."""
        room = self.within(step, valid.node.meta["example"].shape[1])
        return valid if room is None else valid & room

    def learn(self, step: Any, commit: Commit, stage: str) -> None:
        if self.auto is None:
            return
        draft = step.draft and (step.draft.token, step.draft.valid)
        kept = step.read(ROWS), step.read(LENGTHS)
        choice, rows, counts = paced(self.pace, step.bucket[0], *step.started, kept, draft, commit.token, commit.count)
        put(f"reg:{CHOICE}", choice)
        put(f"reg:{ROWS}", rows)
        put(f"reg:{LENGTHS}", counts)

    def shortened(self, most: int) -> Length:
        """Its length over a toy vocabulary: at most so much."""
        if self.auto is not None:
            return self.auto.model_copy(update={"longest": min(self.most, most)})
        return min(self.most, most)
