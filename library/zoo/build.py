"""Train, export and measure every model, in order: ``python -m penstock.library.zoo.build --out RUNS [--text FOLDER]``.

Killed or stopped, it goes on where it was: a run that has ended is not taken again, one that has begun is resumed.
"""

import argparse
from pathlib import Path

import torch

from penstock.library.zoo import card, export
from penstock.library.zoo.train import assemble
from penstock.library.zoo.train.plans import PLANS, plan


def build(names: list[str], runs: Path, text: Path | None, device: assemble.Device = "cpu") -> None:
    """Train each model to its end, in ``runs/NAME``, and export it before the next one, which may need it."""
    for name in names:
        run = assemble.training(plan(name), runs / name, text=text, device=device)
        run.report = lambda line: print(line, flush=True) if "held_out" in line else None
        print(f"{name}: step {run.step} of {run.steps}", flush=True)
        run.run()
        print(export.export(run.out), flush=True)


def main() -> None:
    """Read the arguments, train, export, measure."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", help=f"of {', '.join(PLANS)}; by default all")
    arguments.add_argument("--out", type=Path, required=True, help="the folder for all runs")
    arguments.add_argument("--text", type=Path, help="a folder of plain text (*.txt) to mix in")
    arguments.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    names = given.names or list(PLANS)
    build(names, given.out, given.text, given.device)
    card.write(names, given.text, card.PAGE)


if __name__ == "__main__":
    main()
