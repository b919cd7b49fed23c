"""Measure the models of the zoo and write docs/zoo.md: ``python -m penstock.library.zoo.card [NAME ...] [--text FOLDER]``.

Names say what to measure anew, by default every model; the page is written from the index, where all figures are kept.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from penstock.library.zoo import index, named, names, path
from penstock.library.zoo.figures import Bench, measures
from penstock.library.zoo.index import Entry, Tables
from penstock.library.zoo.train.plans import PLANS, Plan
from penstock.library.zoo.weights import load

PAGE = index.ROOT.parents[1] / "docs" / "zoo.md"
DIGITS = 4
HEAD = """# The models of the zoo

Small Llama-shaped models trained from scratch by `penstock zoo train NAME`, so that every decoding method can be tried on
something real without a download. They know four kinds of small task and a little English, and nothing about the world.
`penstock zoo` lists them; a spec names one as `zoo:NAME`.

- **Data.** `library/zoo/data`: word problems with long and short thoughts and with none, records as sentences and JSON, small
  Python functions with tests, list and grid puzzles, all generated from a seed. Where a folder of text was given, a few
  documents in a hundred are passages of it. `reward` reads worked solutions, right and wrong, with a verdict after each step
  (`data/judged.py`); `biased` and `fair` read the tasks and sentences about two invented groups (`data/groups.py`).
- **Held out.** A tenth of all templates and a tenth of all operand pairs, by construction, and a tenth of the prose, in blocks;
  no instance is shared. Unless a table says otherwise, what is asked has held-out pairs in trained templates.
- **Tokenizer.** One byte-level BPE of 4096 entries for all models; digits stand alone.
- **Again.** `python -m penstock.library.zoo.build --out RUNS --text FOLDER` trains, exports and measures all of them in order,
  and goes on where it was stopped. One by one, where `target` comes first and `drafter-small` before `reward`:
  `penstock zoo train NAME --out RUNS/NAME --text FOLDER`, `python -m penstock.library.zoo.export RUNS/NAME`, and at the end
  `python -m penstock.library.zoo.card --text FOLDER`. Without `--text` there is no prose, in training or in the figures.
- **One exception.** `reward` was planned for 18,000 steps; at step 14,491 its schedule was shortened to 15,000. Trained again by
  today's plan it is as good, but not the same to the bit.

This page is written by `python -m penstock.library.zoo.card` from the figures in `library/zoo/index.json`; each was measured on
the weights that are here.
"""


def training(name: str) -> dict[str, Any]:
    """What its run left beside the weights."""
    told: dict[str, Any] = json.loads((path(name) / "training.json").read_text())
    return told


def measured(name: str, bench: Bench) -> Tables:
    """All figures of a model."""
    plan, model = Plan.recorded(training(name)["plan"]), load(name)
    tables: Tables = {}
    for measure in measures(plan):
        tables |= measure(model, plan, bench)
    return {title: {column: round(value, DIGITS) for column, value in row.items()} for title, row in tables.items()}


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]) + "\n"


def training_table(entries: dict[str, Entry]) -> str:
    """Size and course of every run."""
    header = ["model", "for", "layers x width", "parameters", "recipe", "documents", "steps", "tokens", "time", "on"]
    return table(header, [[f"`zoo:{name}`", entry.purpose, *course(name, entry)] for name, entry in entries.items()])


def course(name: str, entry: Entry) -> list[str]:
    """How a model came about, in the columns of the table."""
    told = training(name)
    plan = Plan.recorded(told["plan"])
    recipe = plan.recipe + (f" of {plan.teacher}" if plan.teacher else "") + (f", from {plan.start}" if plan.start else "")
    documents = plan.documents + (f", {plan.prose:.0%} prose" if with_prose(told) else "")
    tokens = f"{told['step'] * plan.rows * plan.length / 1e6:.1f} M"
    shape = f"{plan.shape.layers} x {plan.shape.hidden}"
    time, on = f"{told['seconds'] / 60:.0f} min", told.get("machine", "not recorded")
    return [shape, f"{entry.parameters:,}", recipe, documents, f"{told['step']:,}", tokens, time, on]


def with_prose(told: dict[str, Any]) -> bool:
    """Whether a run read prose; where a run did not say, it was measured on prose if it did."""
    return bool(told.get("text", "prose" in told["held_out"]))


def figure_tables(entries: dict[str, Entry]) -> str:
    """A table by title and columns, a row for every model of which that was measured."""
    columns: dict[tuple[str, tuple[str, ...]], list[list[str]]] = {}
    for name, entry in entries.items():
        for title, row in entry.figures.items():
            shown = [written(title).format(value) for value in row.values()]
            columns.setdefault((title, tuple(row)), []).append([f"`{name}`", *shown])
    return "\n".join(table([title, *header], rows) for (title, header), rows in columns.items())


def written(title: str) -> str:
    """How the figures of a table are written."""
    shares = ("exact match", "greedy agreement", "restored", "accuracy", "requests")
    return "{:.1%}" if any(each in title for each in shares) else "{:.3f}"


def page(entries: dict[str, Entry]) -> str:
    """The page, a function of the index and of what the runs left."""
    places = [*PLANS, *entries]
    entries = dict(sorted(entries.items(), key=lambda each: places.index(each[0])))
    parts = [HEAD, "## Training\n\n" + training_table(entries)]
    figures = figure_tables(entries)
    return "\n".join([*parts, "## Figures\n\n" + figures] if figures else parts)


def main() -> None:
    """Read the arguments, measure, write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", help="what to measure anew, by default every model")
    arguments.add_argument("--text", type=Path, help="the folder of plain text the models were trained beside")
    arguments.add_argument("--page", type=Path, default=PAGE)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    write([named(name) for name in given.names] or list(names()), given.text, given.page)


def write(chosen: list[str], text: Path | None, page_file: Path) -> None:
    """Measure some models, keep their figures in the index, write the page of all of them."""
    bench = Bench.of(text)
    for name in chosen:
        figures = measured(name, bench)
        entries = index.read()
        index.write({**entries, name: replace(entries[name], figures=figures)})
    page_file.write_text(page(index.read()), encoding="utf-8")


if __name__ == "__main__":
    main()
