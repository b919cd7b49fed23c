"""Random choices that cannot leave their split: one tenth of templates and of operand pairs is never trained on.

``train`` sees neither held-out templates nor held-out pairs; ``pairs`` uses trained templates and begins with a
held-out pair; ``templates`` uses held-out templates. So no instance of one split can occur in another.
"""

import random
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, TypeVar

Split = Literal["train", "pairs", "templates"]
SPLITS: tuple[Split, ...] = ("train", "pairs", "templates")
Choice = TypeVar("Choice")
Other = TypeVar("Other")


@lru_cache(maxsize=1 << 18)
def held_out(law: str, left: object, right: object) -> bool:
    """Whether this pair of operands of ``law`` belongs to the tenth that training never sees."""
    digest = blake2b(f"{law}:{left}:{right}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 10 == 0


class Draw:
    """The choices of one example, a function of ``(seed, split, index)`` alone."""

    def __init__(self, seed: int, split: Split, index: int) -> None:
        self.split = split
        self.random = random.Random(f"{seed}/{split}/{index}")

    def template(self, templates: Sequence[Choice]) -> Choice:
        """One of the trained templates, or, in the split named for them, of the last tenth."""
        kept = len(templates) - max(1, len(templates) // 10)
        return self.random.choice(templates[kept:] if self.split == "templates" else templates[:kept])

    def one(self, choices: Sequence[Choice]) -> Choice:
        """Any of ``choices``: for what does not decide the split."""
        return self.random.choice(choices)

    def first_pair(self, law: str, lefts: Sequence[Choice], rights: Sequence[Other]) -> tuple[Choice, Other]:
        """The pair that decides the split: held out in ``pairs``, trained elsewhere."""
        wanted = self.split == "pairs"
        while True:
            left, right = self.random.choice(lefts), self.random.choice(rights)
            if held_out(law, left, right) == wanted:
                return left, right

    def right(self, law: str, left: object, rights: Sequence[Choice]) -> Choice:
        """A partner for a given left operand; training never sees a held-out pair at a later step either."""
        free = rights if self.split == "pairs" else [right for right in rights if not held_out(law, left, right)]
        return self.random.choice(free or rights[:1])
