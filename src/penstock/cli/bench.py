"""``penstock bench``: a pipeline beside its reference and beside transformers."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import penstock
from penstock.cli import prompts as files
from penstock.cli.app import INTERRUPTED, Override, Spec, Without, console
from penstock.cli.given import typed
from penstock.decode.means import BACKENDS, DTYPES, Means
from penstock.dsl.limits import MAX_NEW_TOKENS
from penstock.ir.errors import PenstockError

if TYPE_CHECKING:
    from penstock.bench.contest import Contest
    from penstock.decode.dialogue import Prompt


def bench(
    spec: Spec,
    override: Override = None,
    prompt: Annotated[list[str] | None, typer.Option(help="A prompt to continue; may be repeated.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="A file of prompts: one a line, or JSON lines if it is a .jsonl.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Prompts that are decoded together, repeated in turn to fill it.")] = 1,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, max=MAX_NEW_TOKENS, help="Instead of the spec's.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each contender runs, after once that does not count.")] = 7,
    threads: Annotated[int, typer.Option(min=1, help="Threads that every contender computes with.")] = 1,
    out: Annotated[Path | None, typer.Option("--json", help="Keep all that was measured here.")] = None,
    backend: Annotated[str, typer.Option(help=f"One of {', '.join(BACKENDS)}.")] = "auto",
    dtype: Annotated[str, typer.Option(help=f"What models compute in: one of {', '.join(DTYPES)}.")] = "auto",
    without: Without = None,
) -> None:
    """Measure the pipeline beside its reference and beside transformers' generate, in turn, on equal terms.

    \b
    penstock bench spec.yaml --rounds 3
    penstock bench spec.yaml --batch 8 --max-new-tokens 32 --json bench.json
    """
    means = Means(backend, "cpu", dtype, tuple(without or ()))  # type: ignore[arg-type]
    pipeline = penstock.load(spec, override or ())
    rows = asked(pipeline.prompts, prompt, prompts)
    penstock.check(pipeline)
    import torch  # what follows measures; until here only the spec was read

    from penstock.bench.contest import Contest

    torch.set_num_threads(threads)
    contest = Contest.of(pipeline, rows, batch, max_new_tokens, means)
    stopped = measured(contest, rounds)
    told(contest, out)
    raise typer.Exit(INTERRUPTED if stopped else 0)


def asked(own: tuple[str, ...], prompt: list[str] | None, file: Path | None) -> list["Prompt"]:
    """The prompts of the command, else the spec's own. Raises PenstockError where there are none, or a line is broken."""
    lines = files.read(file) if file else []
    for line in lines:
        if isinstance(line, files.Broken):
            raise line.error
        if line.params:
            what, where = "the prompt has parameters of its own", f"{file}:{line.number}:1"
            raise PenstockError(what, where=where, fix="measure it with -o, as what the spec says for all")
    found: list[Prompt] = [*map(typed, prompt or []), *(line.prompt for line in files.sound(lines))]
    if not (found or own):
        raise PenstockError("no prompt", fix="give --prompt, or `prompts:` in the spec")
    return found or list(own)


def measured(contest: "Contest", rounds: int) -> bool:
    """Run all rounds, shown as they pass; whether somebody stopped it."""
    screen = Console(stderr=True)
    shown = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*shown, console=screen, disable=not screen.is_terminal, transient=True) as progress:
        task = progress.add_task("warming up", total=len(contest.contenders) * (rounds + 1))
        try:
            for name in contest.run(rounds):
                progress.update(task, advance=1, description=name)
        except KeyboardInterrupt:
            return True
    return False


def told(contest: "Contest", out: Path | None) -> None:
    """Print what was measured and keep it. Raises PenstockError where nothing was, or where it cannot be kept."""
    from penstock.bench.table import lines

    record = contest.record()
    if not record["contenders"]:
        raise PenstockError("stopped before one round was whole: nothing was measured", fix="lower --max-new-tokens")
    for line in lines(record):
        console().print(line)
    if out is not None:
        try:
            out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise PenstockError(f"cannot be written: {error.strerror}", where=str(out), fix="name a file in a folder") from None
