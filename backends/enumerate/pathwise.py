"""Pathwise: with the same key, the reference's very tokens. A draft that guesses on the noise of the selections is proven so.

Enumeration takes such a guess for any token that could be drawn, so it proves the law whatever is guessed; that a selection does
not move with what was guessed at it is seen here, on noise that both read.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.backends.interpret import interpreted
from penstock.backends.runtime.runner import Decoder
from penstock.ir.runner import Request
from penstock.passes.build import StepGraph

KEYS = 64
"""How many requests both decode."""


def same_tokens(
    step: StepGraph, reference: StepGraph, models: Mapping[str, Any], rows: Sequence[Mapping[str, list[int]]], limit: int
) -> bool:
    """Whether a pipeline decodes its reference's tokens, request by request, on prompts taken in turn."""
    requests = [Request(rows[key % len(rows)], limit, key) for key in range(KEYS)]
    texts = []
    for each in (step, reference):
        used = {view: model for view, model in models.items() if f"view:{view}" in each.handles}
        texts.append([row.tokens for row in Decoder(each, used, interpreted(each)).decode(requests)])
    return texts[0] == texts[1]
