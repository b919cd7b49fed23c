"""Train a model of the zoo: ``python -m penstock.library.zoo.train NAME --out FOLDER [--steps N] [--text FOLDER]``."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import AutoTokenizer

from penstock.ir.errors import PenstockError
from penstock.library.zoo import tokenizer_path
from penstock.library.zoo.train import batches, evaluate, plans
from penstock.library.zoo.train.loop import Training
from penstock.library.zoo.train.plans import Plan
from penstock.library.zoo.train.recipes import RECIPES


def training(plan: Plan, steps: int, out: Path, text: Path | None, every: float = 180.0) -> Training:
    """A run of ``plan``, resumed where ``out`` holds a checkpoint; on tasks whose loss is a next token's, evaluated."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_path())
    document = batches.document(plan.seed, "train", plan.prose, text)

    def batch(step: int) -> batches.Batch:
        return batches.batch(tokenizer, document, step, *plan.measures(step, steps))

    recipe = RECIPES[plan.recipe](plan, tokenizer.mask_token_id)
    if plan.recipe == "masked-diffusion":
        return Training(plan, steps, out, batch, recipe, every=every)
    return Training(plan, steps, out, batch, recipe, evaluate.evaluation(tokenizer, text), every)


def run_with_bar(run: Training) -> Path:
    """Train with a progress bar: a line where the output is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(run.plan.name, total=run.steps, completed=run.step)

        def report(line: dict[str, Any]) -> None:
            if "loss" in line:
                bar.update(task, completed=line["step"], description=f"{run.plan.name} loss {line['loss']:.3f}")
            elif not sys.stderr.isatty():
                print(line, flush=True)

        run.report = report
        return run.run()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="penstock zoo train", description=__doc__)
    parser.add_argument("name", help="the model to train")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the run; a checkpoint in it is resumed")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--text", type=Path, help="a folder of plain text (*.txt) to mix in")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Train; a mistake of the user is one message and code 2."""
    given = parse(arguments)
    torch.set_num_threads(given.threads)
    try:
        plan = replace(plans.plan(given.name), seed=given.seed, precision=given.precision)
        plan = replace(plan, rows=given.rows or plan.rows)
        print(run_with_bar(training(plan, given.steps or plan.steps, given.out, given.text)))
    except PenstockError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
