"""What is asked of every model: the first different examples of a held-out split."""

from itertools import count as numbers, islice
from pathlib import Path

from penstock.library.zoo.data import arithmetic, prose
from penstock.library.zoo.data.draw import Draw, Split
from penstock.library.zoo.data.example import Example
from penstock.library.zoo.data.stream import KINDS, example

SEED = 2
Texts = dict[str, list[tuple[str, str]]]


def examples(split: Split, kind: str, count: int, seed: int = SEED) -> list[Example]:
    """The first ``count`` different examples of a held-out split."""
    found: dict[str, Example] = {}
    for index in numbers():
        if len(found) == count:
            break
        made = example(seed, split, index, kind)
        found.setdefault(made.prompt_text(), made)
    return list(found.values())


def word_problems(style: str, count: int, split: Split = "pairs", seed: int = SEED) -> list[Example]:
    """The same problems whatever the ``style`` they are to be answered in."""
    return [arithmetic.problem(Draw(seed, split, index)).example(style) for index in range(count)]


def records(count: int, seed: int = SEED) -> list[Example]:
    """Requests for JSON."""
    asked = (example(seed, "pairs", index, "record") for index in numbers())
    return list(islice((each for each in asked if each.answer.startswith("{")), count))


def texts(folder: Path | None, count: int = 50, passages: int = 20) -> Texts:
    """Held-out ``(prompt, reply)`` of every kind; with a folder of prose, also passages of it."""
    found = {kind: [(each.prompt_text(), each.reply_text()) for each in examples("pairs", kind, count)] for kind in KINDS}
    if folder is not None:
        found["prose"] = [("", prose.passage(folder, SEED, "pairs", index)) for index in range(passages)]
    return found
