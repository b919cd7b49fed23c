"""``penstock run``: prompts in, continuations out."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import penstock
from penstock.cli import prompts as files, results
from penstock.cli.app import INTERRUPTED, Override, Spec, Without, console, says_unicode
from penstock.cli.given import parameter, typed
from penstock.cli.prompts import Broken, Line
from penstock.decode.means import BACKENDS, BATCH, DTYPES
from penstock.dsl.limits import MAX_NEW_TOKENS, MAX_SEED
from penstock.ir.errors import PenstockError

if TYPE_CHECKING:
    from penstock.decode.asked import Params
    from penstock.decode.generation import Generation
    from penstock.decode.runner import Runner
    from penstock.dsl.pipeline import Pipeline

Show = Callable[[dict[str, Any]], None]


def run(
    spec: Spec,
    override: Override = None,
    prompt: Annotated[list[str] | None, typer.Option(help="A prompt to continue; may be repeated.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="A file of prompts: one a line, or JSON lines if it is a .jsonl.")] = None,
    out: Annotated[Path | None, typer.Option(help="Keep results here as JSON lines; a run that was stopped goes on.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, max=MAX_NEW_TOKENS, help="Instead of the spec's.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Instead of the spec's transform.temperature.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Instead of the spec's.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="A text that ends a continuation; may be repeated.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="A request parameter, as name=value; may be repeated.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Prompts that are decoded together.")] = BATCH,
    logprobs: Annotated[str | None, typer.Option(help="Tell each token's log probability: raw or composed.")] = None,
    backend: Annotated[str, typer.Option(help=f"One of {', '.join(BACKENDS)}.")] = "auto",
    device: Annotated[str, typer.Option(help="What to decode on.")] = "cpu",
    dtype: Annotated[str, typer.Option(help=f"What models compute in: one of {', '.join(DTYPES)}.")] = "auto",
    without: Without = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Decode the rest where a line of prompts is broken.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Print the text of one prompt while it grows.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON a prompt.")] = False,
) -> None:
    """Continue prompts: those given here, else the spec's own.

    \b
    penstock run spec.yaml --prompt "Once upon a time" --stream
    penstock run spec.yaml --prompts prompts.jsonl --out results.jsonl --batch 8
    penstock run spec.yaml -o drafter.model.length=6 --temperature 0 --json
    """
    warmth = [] if temperature is None else [f"transform.temperature.value={temperature}"]
    pipeline = penstock.load(spec, [*(override or []), *warmth])
    lines = lines_of(prompt or [], prompts, pipeline)
    refuse([line for line in lines if isinstance(line, Broken)], keep_going)
    asked = dict(max_new_tokens=max_new_tokens, seed=seed, stop=stop)
    wanted, given, records = of(logprobs), dict(map(parameter, param or [])), as_json or out is not None
    means = dict(backend=backend, device=device, dtype=dtype, without=without or ())
    runner = penstock.compile(pipeline, **means, timed=records)  # type: ignore[arg-type]
    lines = fitting(runner, lines, prompts, max_new_tokens, given, keep_going)
    if stream:
        unstreamed(out=out, json=as_json, logprobs=logprobs)
        streamed(runner, lines, **asked, params=given)
        return
    whole = Run(runner, lines, {**asked, "logprobs": wanted}, given, batch)
    broken = whole.into(out) if out else whole.onto(printed_json if as_json else printed)
    if not records:
        console().print(f"  guarantee: {penstock.promise(pipeline)}", style="dim")
    if runner.compiled is not None:
        typer.echo(f"inductor: {runner.compiled}", err=True)
    raise typer.Exit(1 if broken else 0)


def lines_of(prompt: Sequence[str], file: Path | None, pipeline: "Pipeline") -> list[Line | Broken]:
    """What was typed and what a file holds, else the spec's own prompts. Raises PenstockError where there are none."""
    lines = [*(Line(0, typed(text)) for text in prompt), *(files.read(file) if file else [])]
    lines = lines or [Line(0, text) for text in pipeline.prompts]
    if not lines:
        raise PenstockError("no prompt", fix="give --prompt, or `prompts:` in the spec")
    return lines


def fitting(
    runner: "Runner",
    lines: Sequence[Line | Broken],
    file: Path | None,
    limit: int | None,
    given: dict[str, float],
    keep_going: bool,
) -> list[Line | Broken]:
    """The lines, those told and left out that the pipeline cannot decode; without ``keep_going`` the first ends it all."""
    unfit = [bad for line in files.sound(lines) if (bad := unfit_for(runner, line, file, limit, given)) is not None]
    refuse(unfit, keep_going)
    left_out = {bad.number: bad for bad in unfit}
    return [left_out.get(line.number, line) for line in lines]


def unfit_for(runner: "Runner", line: Line, file: Path | None, limit: int | None, given: dict[str, float]) -> Broken | None:
    """What keeps a line of a file from being decoded, if anything does; what was typed is told as it stands."""
    if file is None or not line.number:
        return None
    try:
        runner.requests([line.prompt], limit, None, {**given, **line.params})
    except PenstockError as error:
        what, where = error.what.replace("prompt 0", "the prompt", 1), f"{file}:{line.number}:1"
        return Broken(line.number, PenstockError(what, where=where, fix=error.fix))
    return None


def of(logprobs: str | None) -> str | None:
    """Of which logits, if of any."""
    if logprobs not in (None, "raw", "composed"):
        raise PenstockError(f"--logprobs {logprobs}: there are none of that name", fix="write raw or composed")
    return logprobs


def refuse(broken: Sequence[Broken], keep_going: bool) -> None:
    """Say what is wrong with lines; without ``keep_going`` that is the end."""
    if broken and not keep_going:
        more = f"; {len(broken) - 1} more lines are broken" if len(broken) > 1 else ""
        error = broken[0].error
        raise PenstockError(f"{error.what}{more}", where=error.where, fix=f"{error.fix}, or decode the rest with --keep-going")
    for line in broken:
        typer.echo(f"left out: {line.error}", err=True)


def unstreamed(**told: Any) -> None:
    """Raises PenstockError for an option that a stream would not obey."""
    for name, value in told.items():
        if value:
            raise PenstockError(f"--stream prints text alone, and --{name} asks for more", fix="leave one of them out")


def streamed(runner: "Runner", lines: Sequence[Line | Broken], **asked: Any) -> None:
    """Print one continuation as it grows."""
    if len(lines) != 1 or not isinstance(lines[0], Line):
        raise PenstockError(f"--stream is of one prompt, and there are {len(lines)}", fix="give one --prompt")
    for piece in runner.stream(lines[0].prompt, **{**asked, "params": {**asked["params"], **lines[0].params}}):
        typer.echo(piece, nl=False)
        sys.stdout.flush()
    typer.echo()


class Run:
    """All prompts of a command, and what they are asked with."""

    def __init__(
        self, runner: "Runner", lines: Sequence[Line | Broken], asked: dict[str, Any], given: dict[str, float], batch: int
    ) -> None:
        self.runner, self.lines, self.asked, self.batch = runner, lines, asked, batch
        self.sound = list(files.sound(lines))
        self.params = columns(self.sound, given)
        options = [runner.pipeline.model_dump(mode="json"), asked, given, runner.means.dtype, runner.means.backend]
        self.name = results.digest(*options, [[line.number, line.prompt, line.params] for line in self.sound])

    def onto(self, show: Show) -> int:
        """Show every record; how many lines were broken."""
        with bar(len(self.sound), 0) as advance:
            for each in self.generations(0):
                advance()
                show(each.record())
        return len(self.lines) - len(self.sound)

    def into(self, out: Path) -> int:
        """Add to a file what it has not yet; how many lines were broken."""
        skip = results.done(out, self.name, [line.prompt for line in self.sound])
        with results.growing(out) as file, bar(len(self.sound), skip) as advance:
            try:
                for each in self.generations(skip):
                    file.write(results.line({"run": self.name, **each.record()}) + "\n")
                    file.flush()
                    advance()
            except KeyboardInterrupt:
                typer.echo("stopped; the same command goes on from here", err=True)
                raise typer.Exit(INTERRUPTED) from None
        return len(self.lines) - len(self.sound)

    def generations(self, skip: int) -> Iterator["Generation"]:
        prompts = [line.prompt for line in self.sound]
        return self.runner.each(prompts, params=self.params, batch=self.batch, skip=skip, **self.asked)


def columns(lines: list[Line], given: dict[str, float]) -> "Params":
    """Request parameters by name, a value a line: a line's own before the command's."""
    names = dict.fromkeys([*given, *(name for line in lines for name in line.params)])
    found: dict[str, Any] = {}
    for name in names:
        values = [line.params.get(name, given.get(name)) for line in lines]
        if None in values:
            number = lines[values.index(None)].number
            raise PenstockError(f"line {number} has no parameter {name}, as other lines have", fix=f"give --param {name}=...")
        found[name] = values
    return found


def printed(record: dict[str, Any]) -> None:
    """A continuation for people."""
    prompt, stats = record["prompt"], record["stats"]
    console().print(prompt if isinstance(prompt, str) else prompt[-1]["content"] + "\n", style="dim", end="")
    console().print(record["text"])
    counts = f"{stats['new_tokens']} tokens in {stats['target_forwards']:g} target forwards"
    console().print(f"  {record['status']}: {counts}, {stats['accepted_per_forward']:.2f} a forward", style="dim")
    for name, numbers in record.get("taps", {}).items():
        console().print(f"  {name}: {' '.join(f'{number:g}' for number in numbers)}", style="dim")


def printed_json(record: dict[str, Any]) -> None:
    """A continuation for programs."""
    typer.echo(results.line(record, ascii_only=not says_unicode()))


@contextmanager
def bar(total: int, done: int) -> Iterator[Callable[[], None]]:
    """A progress bar for many prompts, where somebody watches."""
    columns_ = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns_, console=Console(stderr=True), disable=total < 2 or not sys.stderr.isatty()) as progress:
        task = progress.add_task("prompts", total=total, completed=done)
        yield lambda: progress.advance(task)
