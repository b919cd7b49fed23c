"""A prompt that does not depend on the request's."""

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.dsl.roles import Effect, Role
from penstock.dsl.stage import Stage


class Given(Stage):
    """The same text for every request: a negative prompt, a persona."""

    kind: ClassVar[str] = "prompt.given"
    role: ClassVar[Role] = "prompt"
    effect: ClassVar[Effect] = "steers"

    text: Annotated[str, Field(min_length=1)]
    """What the view reads in place of the request's prompt."""

    def rewrite(self, text: str) -> str:
        return self.text
