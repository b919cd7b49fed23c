"""The endless, seekable stream of examples: the one at ``index`` depends on ``(seed, split, index)`` alone."""

from collections.abc import Callable, Iterator
from itertools import count

from penstock.library.zoo.data import arithmetic, functions, puzzles, records
from penstock.library.zoo.data.draw import Draw, Split
from penstock.library.zoo.data.example import Example

KINDS: dict[str, Callable[[Draw], Example]] = {
    "arithmetic": arithmetic.example,
    "record": records.example,
    "function": functions.example,
    "puzzle": puzzles.example,
}
# Half of all examples are word problems: the only kind whose answer takes several steps.
SHARES = (("arithmetic", 5), ("record", 2), ("function", 1), ("puzzle", 2))
_SLOTS = tuple(kind for kind, share in SHARES for _ in range(share))


def example(seed: int, split: Split, index: int, kind: str | None = None) -> Example:
    """The example at ``index``, of ``kind`` or of a kind drawn by ``SHARES``."""
    draw = Draw(seed, split, index)
    drawn = draw.one(_SLOTS)
    return KINDS[kind or drawn](draw)


def stream(seed: int, split: Split, kind: str | None = None, start: int = 0) -> Iterator[Example]:
    """Examples from index ``start`` on."""
    return (example(seed, split, index, kind) for index in count(start))
