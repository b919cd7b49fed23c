"""The commands; each is a call of the face and a way to print what it returns."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import penstock
from penstock.cli import zoo
from penstock.cli.app import AsJson, Commands, Override, Spec, Without, console, says_unicode
from penstock.cli.bench import bench
from penstock.cli.run import run

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

app.command()(run)
app.command()(bench)


@app.command()
def check(spec: Spec, override: Override = None) -> None:
    """Say whether the pipeline means something, what it promises and what it will cost; loads no weights."""
    from penstock.explained import promises  # imports torch
    from penstock.predicted import costs

    pipeline = penstock.load(spec, override or ())
    step = penstock.check(pipeline)
    console().print(f"{spec}: ok, {' >> '.join(stage.kind for stage in pipeline.stages)}")
    for line in (*promises(pipeline, step), *costs(pipeline, step)):
        console().print(f"  {line}")


@app.command()
def explain(spec: Spec, override: Override = None) -> None:
    """Print what the pipeline promises, and its step."""
    console().print(penstock.explain(penstock.load(spec, override or ())))


@app.command()
def show(
    spec: Spec,
    override: Override = None,
    stage: Annotated[str, typer.Option(help="spec: as declared; ir: the step as traced; passes: as --passes.")] = "spec",
    form: Annotated[str, typer.Option("--format", help="One of text, mermaid, svg.")] = "text",
    passes: Annotated[bool, typer.Option("--passes", help="What every optimisation did to the step, and why.")] = False,
    without: Without = None,
    backend: Annotated[str, typer.Option(help="With --passes, inductor also says what is compiled.")] = "auto",
) -> None:
    """Print the pipeline as text, or draw it as Mermaid or SVG.

    \b
    penstock show spec.yaml --format svg > pipeline.svg
    penstock show spec.yaml --stage ir
    penstock show spec.yaml --passes
    penstock show spec.yaml --passes --backend inductor
    """
    pipeline, wanted = penstock.load(spec, override or ()), "passes" if passes else stage
    shown = penstock.show(pipeline, stage=wanted, form=form, without=without or (), backend=backend)  # type: ignore[arg-type]
    typer.echo(shown, nl=False)


@app.command()
def certify(spec: Spec, override: Override = None, as_json: AsJson = False) -> None:
    """Prove that the pipeline keeps its promise, on exact toy models; exit code 1 if it does not."""
    certificate = penstock.certify(penstock.load(spec, override or ()))
    if as_json:
        print_json({"holds": certificate.holds, "report": certificate.report().splitlines()})
    else:
        console().print(certificate.report())
    raise typer.Exit(0 if certificate.holds else 1)


@app.command("import")
def import_(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A generation_config.json of transformers, or its folder.")],
    model: Annotated[str, typer.Option(help="The model to decode, as hf:organisation/name, zoo:name or a folder.")],
    draft: Annotated[str | None, typer.Option(help="A model that drafts for it.")] = None,
) -> None:
    """Print the spec of a pipeline that decodes as transformers' generate does under a config.

    \b
    penstock import my-model/ --model my-model/ > spec.yaml
    """
    typer.echo(penstock.dump(penstock.from_generation_config(config, model, draft)), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of specs over all registered stages."""
    print_json(penstock.schema())


@app.command()
def stages(as_json: AsJson = False) -> None:
    """List all registered stages; as JSON with their fields, ports and papers."""
    from penstock.dsl.catalogue import catalogue  # imports the library

    entries = catalogue()
    if as_json:
        print_json([entry.record() for entry in entries])
        return
    table = Table("stage", "role", "effect", "meaning", box=None, pad_edge=False)
    for entry in entries:
        table.add_row(entry.stage, entry.role, entry.effect, entry.meaning)
    console().print(table)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=not says_unicode()))
