"""What a model reads is documents by number; a document is parts that say how much each counts."""

from collections.abc import Callable
from typing import NamedTuple

# A request is made of random choices: nothing but noise can be learnt from most of its tokens.
REQUEST_WEIGHT = 0.1


class Part(NamedTuple):
    """A piece of text, the weight of its tokens, and the marker to predict after each of them instead of what follows."""

    text: str
    weight: float = 1.0
    verdict: str = ""


Document = Callable[[int], list[Part]]
