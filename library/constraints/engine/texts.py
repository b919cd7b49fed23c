"""Texts by number, in the order in which they are met, and the matchers at their ends."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from penstock.library.constraints.engine.matcher import Matcher

RECENT = 1024
"""The matchers that are kept; older ones are made anew from their text."""
K, V = TypeVar("K"), TypeVar("V")


class Texts:
    """A trie: every text is another and one more token. Text 0 is empty. Two threads never give one number to two texts."""

    def __init__(self) -> None:
        self.parent, self.token, self.length = [-1], [-1], [0]
        self._below: dict[tuple[int, int], int] = {}
        self._lock = Lock()

    def after(self, text: int, token: int) -> int:
        """The text that is one token longer."""
        found = self._below.get((text, token))
        return self._named(text, token) if found is None else found

    def _named(self, text: int, token: int) -> int:
        with self._lock:
            found = self._below.get((text, token), len(self.parent))
            if found == len(self.parent):
                self.token.append(token)
                self.length.append(self.length[text] + 1)
                self.parent.append(text)
                self._below[text, token] = found
            return found


class Recent(OrderedDict[K, V], Generic[K, V]):
    """What was worked out of the texts that were asked for last; of text 0 always."""

    def __init__(self, most: int = RECENT) -> None:
        super().__init__()
        self.most = most

    def keep(self, text: K, value: V) -> V:
        """The value, kept until ``most`` others are newer."""
        self[text] = value
        self.move_to_end(text)
        while len(self) > self.most:
            oldest = next(text for text in self if text)
            del self[oldest]
        return value


def from_text_on(texts: Texts, known: Recent[int, V], text: int, further: Callable[[V, int], V]) -> V:
    """What is known of a text: worked out token by token from the longest part of it that it is known of."""
    path = []
    while text not in known:
        path.append(text)
        text = texts.parent[text]
    value = known.keep(text, known[text])
    for each in reversed(path):
        value = known.keep(each, further(value, each))
    return value


class Standing:
    """The matcher at the end of each text; None where the text is none of the grammar's, or has ended."""

    def __init__(self, texts: Texts, start: Matcher, spelt: Callable[[int], list[int] | None]) -> None:
        """``spelt``: a text's token in the matcher's own tokens; None for one that ends it."""
        self.texts, self.spelt = texts, spelt
        self.known: Recent[int, Matcher | None] = Recent()
        self.known.keep(0, start)

    def __getitem__(self, text: int) -> Matcher | None:
        return from_text_on(self.texts, self.known, text, self._further)

    def _further(self, before: Matcher | None, text: int) -> Matcher | None:
        tokens = None if before is None else self.spelt(self.texts.token[text])
        if before is None or tokens is None:
            return None
        matcher = before.copy()
        return matcher if all(matcher.advance(token) for token in tokens) else None
