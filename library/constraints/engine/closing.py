"""Bringing a text to its end within the tokens that are left: near the limit, only what can still be completed may come next.

Every text carries a completion: what is left of its parent's, if that still fits, else the shortest that a search over bytes
finds. A token may come next if what it leads to has a completion that fits. The completion's own next token always does, so a row
whose completion fitted once ends valid.
"""

import heapq
from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor

from penstock.library.constraints.engine.additions import Additions
from penstock.library.constraints.engine.matcher import Matcher
from penstock.library.constraints.engine.pieces import Pieces, Tokens
from penstock.library.constraints.engine.texts import Recent, Standing, Texts, from_text_on
from penstock.library.constraints.schema.reach import Reach

CLOSING = (b'"', b"]", b"}")
"""Bytes that close what tokens open."""
EFFORT = 4096
"""Texts that a search looks at."""
FEW = 24
"""Bytes that a search tries at one place; of more, `LIKELY` ones and the first few others."""
FREE = 8
"""The price of a byte that is chosen, where one that is forced costs 1: it is a token by itself, and forced ones share theirs."""
LIKELY = b'"}],:0123456789-.eE\\truefalsn '
MANY = 1024
"""Tokens that are tried one by one for a mask; the others, later in the vocabulary, are left out near the limit."""


class Closing:
    """Which tokens a row may take so that its text ends in time."""

    def __init__(self, start: Matcher, tokens: Tokens, reach: Reach) -> None:
        """``start``: the grammar over bytes; ``reach``: how far its texts are from their ends."""
        self.start, self.reach, self.eos = start, reach, tokens.eos
        self.pieces = Pieces(tokens)
        self.shortest = shortest(start, self.pieces.single)
        self.additions = Additions(tokens.pieces, reach)

    def follow(self, texts: Texts) -> None:
        """Begin anew, with these texts."""
        self.texts = texts
        self.standing = Standing(texts, self.start, lambda token: None if token in self.eos else self.pieces.spelt(token))
        self.completions: Recent[int, bytes | None] = Recent()
        self.completions.keep(0, self.shortest)
        self.masks: Recent[tuple[int, int], Tensor] = Recent()

    def least(self) -> int | None:
        """The tokens of the shortest text that was found, its end included."""
        return self.cost(self.shortest)

    def cost(self, completion: bytes | None) -> int | None:
        """The tokens that a completion takes, its end included."""
        tokens = None if completion is None else self.pieces.count(completion)
        return None if tokens is None else tokens + 1

    def in_time(self, text: int, mask: Tensor, room: int) -> Tensor:
        """What of ``mask`` leads to a text that can end ``room`` tokens on; all of it where that is out of reach anyway."""
        if room > self.reach.extent + 1:
            return mask
        if (text, room) not in self.masks:
            needed = self.cost(self.completion(text))
            kept = mask if needed is None or needed > room else self._kept(text, mask, room - 1, needed)
            self.masks.keep((text, room), kept)
        return self.masks[text, room]

    def completion(self, text: int) -> bytes | None:
        """Bytes that end a text; None for one of which nothing is known."""
        return from_text_on(self.texts, self.completions, text, self._further)

    def _further(self, before: bytes | None, text: int) -> bytes | None:
        matcher, piece = self.standing[text], self.pieces[self.texts.token[text]]
        if matcher is None:
            return None
        if before is not None and before.startswith(piece):
            return before[len(piece) :]
        rest = None if before is None else rest_of(before, len(piece), matcher)
        return shortest(matcher, self.pieces.single) if rest is None else rest

    def _kept(self, text: int, mask: Tensor, room: int, needed: int) -> Tensor:
        """The tokens whose texts can end ``room`` tokens on; most of them cannot add enough to be tried one by one."""
        completion = self.completion(text)
        assert completion is not None
        tokens = self.pieces.split(completion)
        sure = mask & self.additions.within(room - needed, completion, [self.pieces[token] for token in tokens])
        asked = (*tokens[:1], *self.eos, *(mask & ~sure).nonzero().flatten()[:MANY].tolist())
        fitting = [token for token in asked if mask[token] and self._fits(text, token, completion, room)]
        return sure.index_fill(0, torch.tensor(fitting, dtype=torch.long), True)

    def _fits(self, text: int, token: int, completion: bytes, room: int) -> bool:
        """Whether the text one token on has a completion of at most so many tokens: as `completion` would say, only sooner."""
        if token in self.eos:
            return True
        piece, matcher = self.pieces[token], self.standing[text]
        if not completion.startswith(piece) and matcher is not None and matcher.takes([*piece, *completion]):
            needed = self.cost(completion)
        else:
            needed = self.cost(self.completion(self.texts.after(text, token)))
        return needed is not None and needed <= room


def rest_of(completion: bytes, given: int, matcher: Matcher) -> bytes | None:
    """What of a completion still ends a text that went on with ``given`` other bytes, which may have said some of it: the most of
    it, or, where they opened something, the most of it behind a byte that closes that. None where neither does.

    A search takes a hundred times as long as one question to the matcher, and mostly finds no more than this.
    """
    rests = [completion[first:] for first in range(min(given + 1, len(completion)) + 1)]
    tried = (closed + rest for closed in (b"", *CLOSING) for rest in rests)
    return next((each for each in tried if matcher.takes(list(each))), None)


def shortest(start: Matcher, known: frozenset[int]) -> bytes | None:
    """Few bytes after which a text may end: the cheapest that a search finds, of one text for every mask at a length.

    ``known``: the bytes that there are tokens for. What it finds the matcher has accepted; that there is nothing shorter, or
    nothing where it finds nothing, it does not prove.
    """
    order, seen = count(), set[tuple[int, bytes]]()
    ahead: list[tuple[int, int, bytes, Matcher, Tensor]] = [(0, next(order), b"", start, start.allowed())]
    for _ in range(EFFORT):
        if not ahead:
            return None
        price, _, text, matcher, mask = heapq.heappop(ahead)
        if matcher.may_end():
            return text
        for cost, piece, further in onward(matcher, mask, known):
            allowed = further.allowed()
            at = len(text) + len(piece), allowed.numpy().tobytes()
            if at not in seen:
                seen.add(at)
                heapq.heappush(ahead, (price + cost, next(order), text + piece, further, allowed))
    return None


def onward(matcher: Matcher, mask: Tensor, known: frozenset[int]) -> Iterator[tuple[int, bytes, Matcher]]:
    """``(price, bytes, matcher after them)``: what must follow, or the bytes that are tried."""
    forced = matcher.forced()
    options = [] if forced else [byte for byte in mask[:256].nonzero().flatten().tolist() if byte in known]
    if len(options) > FEW:
        options = [byte for byte in LIKELY if byte in options] + [byte for byte in options if byte not in LIKELY][:4]
    price, pieces = (len(forced), [forced]) if forced else (FREE, [bytes([byte]) for byte in options])
    for piece in pieces:
        further = matcher.copy()
        if all(further.advance(byte) for byte in piece):
            yield price, piece, further
