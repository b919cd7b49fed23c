"""``penstock zoo``: the small models that come with Penstock, and how they are trained."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from penstock.cli.app import INTERRUPTED, console

if TYPE_CHECKING:
    from penstock.library.zoo.train.loop import Training

app = typer.Typer(name="zoo", rich_markup_mode=None)
MAX_SEED = 2**31 - 1
"""A run has a million seeds of its own after this one, which must fit an integer too."""


@app.callback(invoke_without_command=True)
def listed(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the small models that come with Penstock, or train one."""
    if context.invoked_subcommand is None:
        show(models(), as_json)


@app.command()
def train(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model to train.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder of the run; a run that was stopped there goes on.", show_default=False)],
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="On cuda, in bfloat16 where that is safe.")] = "cpu",
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the plan's.")] = None,
    text: Annotated[Path | None, typer.Option(help="A folder of plain text (*.txt) to mix in.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="What the weights begin from and the data is drawn with.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Of the CPU.")] = 1,
) -> None:
    """Train a model from its plan; Ctrl-C leaves a checkpoint, and the same command goes on from it."""
    try:
        import torch

        from penstock.library.zoo import named
        from penstock.library.zoo.train import assemble, plans

        torch.set_num_threads(threads)
        plan = replace(plans.plan(named(name)), seed=seed)
        run = assemble.training(plan, out, steps, text, device)
        kept = with_bar(run)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from the last checkpoint", err=True)
        raise typer.Exit(INTERRUPTED) from None
    console().print(kept)


def models() -> list[dict[str, Any]]:
    """What is known of every model that is here."""
    from penstock.library.zoo import ALIASES, index

    return [
        {
            "model": f"zoo:{name}",
            "also": [f"zoo:{alias}" for alias, other in ALIASES.items() if other == name],
            "parameters": entry.parameters,
            "bytes": entry.size,
            "for": entry.purpose,
            "figures": entry.figures,
        }
        for name, entry in sorted(index.read().items())
    ]


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """The models as JSON, or as a table with the first figure of each."""
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("model", "parameters", "size", "for", "measured", box=None, pad_edge=False)
    for row in rows:
        names = " = ".join([row["model"], *row["also"]])
        table.add_row(names, f"{row['parameters']:,}", f"{row['bytes'] / 1e6:.1f} MB", row["for"], headline(row["figures"]))
    console().print(table)


def headline(figures: dict[str, dict[str, float]]) -> str:
    """The figure that says most about a model."""
    for title, columns in figures.items():
        for column, value in columns.items():
            return f"{title}: {column} {value:g}"
    return "not yet"


def with_bar(run: "Training") -> Path:
    """Train with a progress bar; where nobody watches, print what is measured at checkpoints."""
    watched = sys.stderr.isatty()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not watched) as bar:
        task = bar.add_task(run.plan.name, total=run.steps, completed=run.step)

        def report(line: dict[str, Any]) -> None:
            if "loss" in line:
                bar.update(task, completed=line["step"], description=f"{run.plan.name} loss {line['loss']:.3f}")
            elif not watched:
                typer.echo(json.dumps(line), err=True)

        run.report = report
        return run.run()
