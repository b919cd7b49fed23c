"""What the host does for exposed noise: streams before a draw, and a look at what came of it."""

from penstock.backends.eager.places import Numbers
from penstock.ir.noise import stream
from penstock.ir.ops.exposed import NOTHING, signed, unsupported


def streams(key: Numbers, stage: str, purpose: str) -> Numbers:
    return [signed(stream(k, stage, purpose), 64) for k in key]


def supported(token: Numbers, stage: str, *, live: Numbers, source: str = "") -> Numbers:
    paths = [each if isinstance(each, list) else [each] for each in token]
    for row in (b for b, path in enumerate(paths) if live[b] and NOTHING in path):
        raise unsupported(stage, row, source)
    blank = [0] * len(token[0]) if isinstance(token[0], list) else 0
    return [each if on else blank for each, on in zip(token, live, strict=True)]
