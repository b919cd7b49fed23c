"""Stop strings: a row ends with the token that completes one, and its text before it."""

from collections.abc import Iterator, Sequence
from typing import Any

from penstock.backends.runtime.runner import ended
from penstock.ir.errors import PenstockError
from penstock.ir.host import Text
from penstock.ir.rows import State
from penstock.ir.state import STOP


class Stops:
    """Some strings, none of them empty, and the tokenizer in whose texts they are looked for."""

    def __init__(self, strings: Sequence[str], text: Text) -> None:
        if isinstance(strings, str):
            raise PenstockError("stop is one text, not a list of them", fix="write [stop]")
        for each in strings:
            if not isinstance(each, str) or not each:
                raise PenstockError(f"stop string {each!r}: not a text, or an empty one", fix="give texts, or leave it out")
        self.strings, self.text = tuple(strings), text

    def end(self, state: State, told: dict[int, int]) -> None:
        """End the rows whose texts hold one of the strings; ``told``: tokens of each row that hold none, brought up to date."""
        if not self.strings:
            return
        seq: Any = state["seq"]
        for row, (tokens, length) in enumerate(zip(seq.tokens.tolist(), seq.length.tolist(), strict=True)):
            known = told.get(row, 0)
            if self.within(tokens[:length]) and length > known:
                first = next(n for n in range(known + 1, length + 1) if self.within(tokens[:n]))
                ended(state, row, first, STOP)
            told[row] = length

    def within(self, tokens: Sequence[int]) -> bool:
        """Whether the text of these tokens holds one of the strings."""
        return self.place(self.text.decode(tokens)) is not None

    def place(self, text: str) -> int | None:
        """Where the first of the strings begins in a text."""
        found = [place for each in self.strings if (place := text.find(each)) >= 0]
        return min(found, default=None)

    def before(self, text: str) -> str:
        """The text up to there."""
        return text[: self.place(text)]

    def told(self, texts: Iterator[str]) -> Iterator[str]:
        """Growing texts without what may yet become one of the strings, but for the last of them."""
        text = ""
        for text in texts:
            whole = self.before(text)
            yield whole if whole != text else text[: len(text) - self.held(text)]
        yield self.before(text)

    def held(self, text: str) -> int:
        """How many characters at its end are the beginning of one of the strings."""
        return max((n for each in self.strings for n in range(len(each)) if text.endswith(each[:n])), default=0)
