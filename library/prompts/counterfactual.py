"""Counterfactual prompts: the same text with some words exchanged."""

import re
from typing import Annotated, ClassVar

from pydantic import Field

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage


class Counterfactual(Stage):
    """Whole words exchanged by a table, everything else unchanged (AMBEDKAR, arXiv 2509.02133); capitals are kept."""

    kind: ClassVar[str] = "prompt.counterfactual"
    role: ClassVar[Role] = "prompt"
    effect: ClassVar[Effect] = "steers"

    swap: Annotated[dict[str, str], Field(min_length=1)]
    """Word by the word that takes its place; both directions hold unless the other is given too."""

    def rewrite(self, text: str) -> str:
        table = {new.lower(): old for old, new in self.swap.items()} | {old.lower(): new for old, new in self.swap.items()}
        words = "|".join(re.escape(word) for word in sorted(table, key=len, reverse=True))
        return re.sub(rf"\b(?:{words})\b", lambda m: like(m.group(), table[m.group().lower()]), text, flags=re.IGNORECASE)


def like(written: str, word: str) -> str:
    """The word in the other's capitals."""
    if written.isupper() and len(written) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if written[:1].isupper() else word
