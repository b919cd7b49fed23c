"""Field types for tokens: their numbers make sense only within the vocabulary that the models share."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from penstock.dsl.declared import Declared
from penstock.dsl.marks import leaves, marked
from penstock.ir.errors import PenstockError


@dataclass(frozen=True)
class OfVocabulary:
    """Marks a number below the vocabulary's size; ``least`` 1: a number of different tokens, which may reach it."""

    least: int = 0


@dataclass(frozen=True)
class PerToken:
    """Marks rows that have one entry for every token."""


TokenId = Annotated[int, Field(ge=0), OfVocabulary()]
"""The id of a token, or a token's rank among all."""
TokenCount = Annotated[int, Field(ge=1), OfVocabulary(1)]
"""How many different tokens."""


def check_tokens(declared: Declared, subject: str, vocab: int) -> None:
    """Raises PenstockError for tokens, numbers of tokens and rows of one entry a token that do not fit a vocabulary."""
    for field, mark, value in marked(declared, OfVocabulary):
        beyond = [number for number in leaves(value) if isinstance(number, int) and number >= vocab + mark.least]
        if beyond:
            what = f"asks for {beyond[0]} different tokens" if mark.least else f"there is no token {beyond[0]}"
            raise misfit(declared, subject, field, what, vocab)
    for field, _, rows in marked(declared, PerToken):
        wrong = [row for row, entries in enumerate(rows) if len(entries) != vocab]
        if wrong:
            what = f"row {wrong[0]} has {len(rows[wrong[0]])} entries, not one a token"
            raise misfit(declared, subject, field, what, vocab)


def misfit(declared: Declared, subject: str, field: str, what: str, vocab: int) -> PenstockError:
    fix = f"the vocabulary has {vocab} tokens, ids 0 to {vocab - 1}"
    return PenstockError(f"{subject}, field {field}: {what}", where=declared.place_of(field), fix=fix)
