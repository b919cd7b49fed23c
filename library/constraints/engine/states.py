"""A grammar's states over a vocabulary: the `Matching` that path states are numbers of."""

from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor

from penstock.ir.errors import PenstockError
from penstock.library.constraints.engine.closing import Closing
from penstock.library.constraints.engine.guidance import begin
from penstock.library.constraints.engine.matcher import Matcher
from penstock.library.constraints.engine.pieces import Bytes, Pieces, Tokens
from penstock.library.constraints.engine.texts import Recent, Standing, Texts
from penstock.library.constraints.schema.reach import Reach

MASKS = 256
"""The masks that are kept."""


def own(error: PenstockError) -> PenstockError:
    """The error itself."""
    return error


class States:
    """Numbers for the texts that a grammar is brought to, with a mask for each that is asked for.

    What is kept of a text is its last token and the number of the text before, until `forget`; matchers and masks of the texts
    asked for last, others are made anew. Texts may be named in one thread while masks are made in another.
    """

    def __init__(
        self, start: Matcher, tokens: Tokens, closing: Closing | None = None, told: Callable[[PenstockError], PenstockError] = own
    ) -> None:
        """``closing``: how rows are brought to their end in time, where that is known; ``told``: an error as a user reads it."""
        self.start, self.tokens, self.closing, self.told = start, tokens, closing, told
        self.pieces, self._lock = Pieces(tokens), Lock()
        self.forget()

    def forget(self) -> None:
        """Begin anew: nobody holds a state any more."""
        with self._lock:
            self.texts = Texts()
            self.standing = Standing(self.texts, self.start, lambda token: None if token in self.tokens.eos else [token])
            self.masks: Recent[int, Tensor] = Recent(MASKS)
            if self.closing is not None:
                self.closing.follow(self.texts)

    def after(self, state: int, token: int) -> int:
        return self.texts.after(state, token)

    def allowed(self, state: int, limit: int | None) -> Tensor:
        try:
            with self._lock:
                return self._allowed(state, limit)
        except PenstockError as error:
            raise self.told(error) from None

    def _allowed(self, state: int, limit: int | None) -> Tensor:
        mask = self.masks.get(state)
        if mask is None:
            matcher = self.standing[state]
            mask = self.masks.keep(state, self._nothing() if matcher is None else matcher.allowed())
        if limit is None or self.closing is None:
            return mask
        return self.closing.in_time(state, mask, limit - self.texts.length[state])

    def forced(self, state: int, most: int) -> list[int]:
        with self._lock:
            return self._forced(state, most)

    def _forced(self, state: int, most: int) -> list[int]:
        matcher = self.standing[state]
        if matcher is None:
            return []
        tokens = list(self.pieces.split(matcher.forced()))
        if not tokens:
            only = self._allowed(state, None).nonzero().flatten()
            tokens = only.tolist() if len(only) == 1 else []
        return tokens[:most]

    def least(self) -> int | None:
        """The tokens of the shortest text that was found, its end included; None where none was looked for."""
        return None if self.closing is None else self.closing.least()

    def _nothing(self) -> Tensor:
        return torch.zeros(len(self.tokens.pieces), dtype=torch.bool)


def states_over(
    grammar: str, tokens: Tokens, reach: Reach | None, told: Callable[[PenstockError], PenstockError] = own
) -> States:
    """A grammar's states over a vocabulary, brought to their ends in time where ``reach`` is known."""
    closing = None if reach is None else Closing(begin(grammar, Bytes()), tokens, reach)
    return States(begin(grammar, tokens), tokens, closing, told)
