"""``python benchmarks/run.py [--only PART ...] [--quick]``: measure all cells, keep each as it is done, write the document.

A run that is stopped goes on where it was: cells that were measured on this very commit are not measured again.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import chain
import decoding
import report
import step
import torch
import wide
import zoo
from cell import Cell
from kept import Kept, commit

BENCHMARKS = {"step": step, "chain": chain, "wide": wide, "zoo": zoo, "decoding": decoding}
"""From the quick ones to the long."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="benchmarks, or parts of cells' names")
    parser.add_argument("--quick", action="store_true", help="fewer cells and rounds")
    parser.add_argument("--again", action="store_true", help="measure what was measured too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    try:
        for name, module in BENCHMARKS.items():
            measure(name, module, asked)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    report.write()


def measure(benchmark: str, module: object, asked: argparse.Namespace) -> None:
    """The cells of one benchmark that are asked for and not yet there."""
    kept, at, cells = Kept(benchmark), commit(), list(module.cells())  # type: ignore[attr-defined]
    kept.forget(but=[cell.name for cell in cells])
    for cell in cells:
        wanted = not asked.only or any(part in (benchmark, cell.name) or part in cell.name for part in asked.only)
        if not wanted or asked.quick and not cell.quick or not asked.again and kept.has(cell.name, asked.quick, at):
            continue
        begun = perf_counter()
        kept.add(cell.name, alone(cell, asked.quick), at)
        told = report.line(benchmark, cell.name, kept.cells[cell.name])
        print(f"{benchmark}: {told} [{perf_counter() - begun:.0f} s]", flush=True)


def alone(cell: Cell, quick: bool) -> dict[str, Any]:
    """A cell measured in a process of its own, forked before anything was: none finds memory as another has left it.

    In one process for all, what decodes after others took up to a seventh longer.
    """
    with ProcessPoolExecutor(1, get_context("fork")) as process:
        return process.submit(cell.measure, quick).result()


if __name__ == "__main__":
    main()
