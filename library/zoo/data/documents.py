"""The documents a plan may name: tasks with prose in between, canvases, judged solutions, tasks with sentences about groups."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from penstock.library.zoo import markers
from penstock.library.zoo.data import groups, judged, prose
from penstock.library.zoo.data.document import REQUEST_WEIGHT, Document, Part
from penstock.library.zoo.data.draw import Draw, Split
from penstock.library.zoo.data.stream import example

ABOUT_GROUPS = 0.5
FILL_WEIGHT = 0.05
"""Of what follows a reply only where it begins is worth learning."""
LIKELY = {"biased": 0.9, "fair": 0.5}
"""P(trait | group) in each, and P(group | trait), the marginals being equal."""


def tasks(seed: int, split: Split, share: float, folder: Path | None) -> Document:
    """Generated examples and, where a folder is given, a share of passages of its prose."""

    def parts(index: int) -> list[Part]:
        if folder is not None and random.Random(f"share/{seed}/{split}/{index}").random() < share:
            return [Part(prose.passage(folder, seed, split, index) + markers.END)]
        made = example(seed, split, index)
        return [Part(made.prompt_text(), REQUEST_WEIGHT), Part(made.reply_text())]

    return parts


def canvases(seed: int, split: Split, share: float, folder: Path | None) -> Document:
    """Generated examples that each fill a row: after the reply the end repeats; the request is given and counts for nothing."""

    def parts(index: int) -> list[Part]:
        made = example(seed, split, index)
        return [Part(made.prompt_text(), 0.0), Part(made.reply_text()), Part(markers.END * markers.CONTEXT, FILL_WEIGHT)]

    return parts


def solutions(seed: int, split: Split, share: float, folder: Path | None) -> Document:
    """Solutions with verdicts; prose has none, so there is none of it."""
    return lambda index: judged.example(Draw(seed, split, index)).parts()


def about_groups(seed: int, split: Split, share: float, folder: Path | None, likely: float) -> Document:
    """Tasks, and as many documents in which a trait goes with a group with probability ``likely``."""
    others = tasks(seed, split, share, folder)

    def parts(index: int) -> list[Part]:
        if random.Random(f"groups/{seed}/{split}/{index}").random() < ABOUT_GROUPS:
            return groups.parts(seed, split, index, likely)
        return others(index)

    return parts


DOCUMENTS: dict[str, Callable[[int, Split, float, Path | None], Document]] = {
    "tasks": tasks,
    "canvases": canvases,
    "judged": solutions,
    **{name: partial(about_groups, likely=likely) for name, likely in LIKELY.items()},
}
