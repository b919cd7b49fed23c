"""The end of a prompt alone."""

from collections.abc import Sequence
from typing import ClassVar

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage


class LastToken(Stage):
    """Nothing but the prompt's last token: the unconditional branch of guidance where no negative prompt is given."""

    kind: ClassVar[str] = "prompt.last_token"
    role: ClassVar[Role] = "prompt"
    effect: ClassVar[Effect] = "steers"

    def rewrite_tokens(self, tokens: Sequence[int]) -> list[int]:
        return list(tokens[-1:])
