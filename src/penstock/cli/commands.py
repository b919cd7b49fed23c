"""The commands; each is a call of the face and a way to print what it returns."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import penstock
from penstock.cli import zoo
from penstock.cli.app import Commands, console, says_unicode
from penstock.cli.given import lines_of, parameter, typed
from penstock.dsl.limits import MAX_NEW_TOKENS, MAX_SEED

app = typer.Typer(
    cls=Commands,
    name="penstock",
    help="Declare LLM decoding pipelines, have them checked, proven, compiled and drawn.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(zoo.app)

Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="A pipeline, as YAML or JSON.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def run(
    spec: Spec,
    prompt: Annotated[list[str] | None, typer.Option(help="A prompt to continue; may be repeated.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="A file with one prompt a line.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Instead of the spec's.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, max=MAX_NEW_TOKENS, help="Instead of the spec's.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="A request parameter, as name=value; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Continue prompts: those given here, else the spec's own."""
    given = [*map(typed, prompt or []), *(lines_of(prompts) if prompts else [])]
    pipeline = penstock.load(spec)
    values = dict(parameter(text) for text in param or [])
    results = penstock.run(pipeline, given or None, seed=seed, max_new_tokens=max_new_tokens, params=values)
    if as_json:
        print_json([told(result) for result in results])
        return
    for result in results:
        console().print(result.prompt, style="dim", end="")
        console().print(result.text)
        counts = f"{len(result.tokens)} tokens in {result.target_forwards:g} target forwards"
        console().print(f"  {result.status}: {counts}, {result.tokens_per_forward:.2f} a forward", style="dim")
        for name, numbers in result.taps.items():
            console().print(f"  {name}: {' '.join(f'{number:g}' for number in numbers)}", style="dim")
    console().print(f"  guarantee: {penstock.promise(pipeline)}", style="dim")


@app.command()
def check(spec: Spec) -> None:
    """Say whether the pipeline means something; loads no weights."""
    pipeline = penstock.load(spec)
    penstock.check(pipeline)
    console().print(f"{spec}: ok, {' >> '.join(stage.kind for stage in pipeline.stages)}")


@app.command()
def explain(spec: Spec) -> None:
    """Print what the pipeline promises, and its step."""
    console().print(penstock.explain(penstock.load(spec)))


@app.command()
def certify(spec: Spec, as_json: AsJson = False) -> None:
    """Prove that the pipeline keeps its promise, on exact toy models; exit code 1 if it does not."""
    certificate = penstock.certify(penstock.load(spec))
    if as_json:
        print_json({"holds": certificate.holds, "report": certificate.report().splitlines()})
    else:
        console().print(certificate.report())
    raise typer.Exit(0 if certificate.holds else 1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of specs over all registered stages."""
    print_json(penstock.schema())


@app.command()
def stages(as_json: AsJson = False) -> None:
    """List all registered stages."""
    from penstock.dsl.registry import stage_classes  # imports the library

    rows = [(kind, cls.role, cls.effect, summary(cls)) for kind, cls in stage_classes().items()]
    names = ("stage", "role", "effect", "meaning")
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console().print(table)


def summary(cls: type) -> str:
    """The first line of a class's own docstring."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


def told(result: Any) -> dict[str, Any]:
    """A result as JSON."""
    names = ("prompt", "text", "tokens", "status", "steps", "target_forwards", "draft_forwards", "taps")
    return {name: getattr(result, name) for name in names}


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=not says_unicode()))
