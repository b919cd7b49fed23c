"""A toy vocabulary for grammars: a few letters and an end, over which an engine's own matchers are certified."""

LETTERS = b"123456789"


class Letters:
    """``v - 1`` tokens of one byte, ``1`` first, and the last ends a text."""

    def __init__(self, v: int) -> None:
        self.pieces = (*(LETTERS[i : i + 1] for i in range(v - 1)), b"<|end|>")
        self.eos = self.special = frozenset({v - 1})
