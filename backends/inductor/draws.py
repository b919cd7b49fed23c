"""What the host does for exposed noise: address words before a draw, and a look at what came of it."""

from penstock.backends.eager.places import Numbers
from penstock.ir.noise import address, fold, stream
from penstock.ir.ops.exposed import NOTHING, signed, unsupported


def words(key: Numbers, stage: str, purpose: str, at: Numbers) -> Numbers:
    rows = range(len(key))
    return [signed(address(key[b], stage, purpose, [c if isinstance(c, int) else c[b] for c in at]), 64) for b in rows]


def select_words(key: Numbers, stage: str, length: Numbers, count: int) -> Numbers:
    starts = [stream(k, stage, "select") for k in key]
    return [[signed(fold(word, n + d), 64) for d in range(count)] for word, n in zip(starts, length, strict=True)]


def accept_words(key: Numbers, stage: str, steps: Numbers, depth: int, width: int) -> Numbers:
    starts = [fold(stream(k, stage, "accept"), n) for k, n in zip(key, steps, strict=True)]
    levels = [[fold(word, d) for d in range(depth)] for word in starts]
    return [[signed(fold(word, r), 64) for word in row for r in range(width)] for row in levels]


def vouched(token: Numbers, drawn: Numbers, stages: tuple[str, ...]) -> Numbers:
    for row, draws in enumerate(drawn):
        if NOTHING in draws:
            raise unsupported(stages[draws.index(NOTHING)], row)
    return token


def fetched(value: Numbers) -> Numbers:
    return value


def supported(token: Numbers, stage: str, *, live: Numbers, source: str = "") -> Numbers:
    paths = [each if isinstance(each, list) else [each] for each in token]
    for row in (b for b, path in enumerate(paths) if live[b] and NOTHING in path):
        raise unsupported(stage, row, source)
    blank = [0] * len(token[0]) if isinstance(token[0], list) else 0
    return [each if on else blank for each, on in zip(token, live, strict=True)]
