"""Writes the pages that are derived from the code: ``python docs/generate.py``. A test holds that they are up to date."""

import importlib.util
import inspect
import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import typer

from penstock.cli.commands import app
from penstock.dsl.catalogue import Entry, catalogue, fields_of
from penstock.dsl.pipeline import Generate, Pipeline, View
from penstock.passes.optimise.rule import RulePass
from penstock.passes.order import OPTIMISATION

HERE = Path(__file__).resolve().parent
EXAMPLES = sorted((HERE.parent / "examples").glob("*.yaml"))
FAMILIES = {
    "drafter": "Drafters",
    "verifier": "Verifiers",
    "acceptor": "Acceptors",
    "transform": "Transforms",
    "steer": "Steering",
    "constraint": "Constraints",
    "gate": "Gates",
    "control": "Control",
    "denoiser": "Denoisers",
    "unmasker": "Unmaskers",
    "prompt": "Prompts",
    "search": "Search",
    "tap": "Taps",
}
GENERATED = "<!-- Written by docs/generate.py; edit the code instead. -->\n"


def stages_page() -> str:
    """The catalogue, family by family."""
    entries = sorted(catalogue(), key=lambda entry: ([*FAMILIES].index(family(entry)), entry.stage))
    lines = [GENERATED, "# Stages", "", "Every stage of the library. `penstock stages --json` gives the same as data.", ""]
    for name, group in groupby(entries, key=family):
        lines += [f"## {FAMILIES[name]}", ""]
        for each in group:
            lines += list(stage_section(each))
    return "\n".join(lines)


def family(entry: Entry) -> str:
    return entry.stage.partition(".")[0]


def stage_section(entry: Entry) -> Iterator[str]:
    """One stage: what it means, what it promises, its options."""
    yield from (f"### {entry.stage}", "", entry.meaning, "")
    if entry.details:
        yield from (entry.details, "")
    papers = ", ".join(f"[arXiv {each}](https://arxiv.org/abs/{each})" for each in entry.papers)
    yield f"*{entry.role}, {entry.effect}*{'; ' + papers if papers else ''}" + ("" if entry.spec else "; for Python alone")
    yield ""
    if entry.fields:
        yield from table(("field", "type", "default", "meaning"), [field_row(each) for each in entry.fields])
        yield ""
    examples = examples_of(entry.stage)
    if examples:
        yield from (f"Examples: {examples}", "")


def examples_page() -> str:
    """Every spec of the folder ``examples``, under what its first line says of it."""
    lines = [GENERATED, "# Examples", "", "The specs of the folder `examples`; the tests run and certify every one.", ""]
    for path in EXAMPLES:
        about, _, spec = path.read_text(encoding="utf-8").partition("\n")
        lines += [f"## {path.stem}", "", about.removeprefix("# "), "", f'```yaml title="{path.name}"', spec.rstrip(), "```", ""]
    return "\n".join(lines)


def examples_of(kind: str) -> str:
    """Links to the examples that name a stage."""
    named = [path.stem for path in EXAMPLES if re.search(rf"\b{re.escape(kind)}\b", path.read_text(encoding="utf-8"))]
    return ", ".join(f"[{name}](examples.md#{name})" for name in named)


def field_row(field: Any) -> tuple[str, str, str, str]:
    default = "required" if field.required else f"`{json.dumps(field.default)}`"
    meaning = field.meaning + (" A request may set it." if field.request else "")
    return f"`{field.name}`", field.type, default, meaning.strip()


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """A table in Markdown."""
    for row in (head, tuple("---" for _ in head), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def head(page: str) -> str:
    """What is written by hand, at the head of a page."""
    return (HERE / f"{page}.head.md").read_text(encoding="utf-8").rstrip()


def spec_page() -> str:
    """What stands at the top of a spec."""
    lines = [GENERATED, head("spec"), ""]
    for title, model in (("The top", Pipeline), ("`generate`", Generate), ("A view", View)):
        rows = [field_row(each) for each in fields_of(model)]  # type: ignore[arg-type]
        lines += [f"## {title}", "", *table(("field", "type", "default", "meaning"), rows), ""]
    return "\n".join(lines)


def cli_page() -> str:
    """Every command with its options."""
    lines = [GENERATED, head("cli"), ""]
    for name, command in commands(typer.main.get_command(app), "penstock"):
        lines += list(command_section(name, command))
    return "\n".join(lines)


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """All commands below a group."""
    for each, inner in getattr(command, "commands", {}).items():
        yield f"{name} {each}", inner
        yield from commands(inner, f"{name} {each}")


def command_section(name: str, command: Any) -> Iterator[str]:
    """One command."""
    context = click.Context(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f"## {name}", "", f"`{name} {usage}`", "", *help_lines(command.help or ""))
    rows = [option_row(each) for each in command.params if each.param_type_name == "option" and "--help" not in each.opts]
    if rows:
        yield from table(("option", "default", "meaning"), rows)
        yield ""


def help_lines(text: str) -> Iterator[str]:
    """Help text; what is marked to be left as it stands becomes a block of commands."""
    for part in text.split("\n\n"):
        if part.strip().startswith("\b"):
            yield from ("```console", *(f"$ {line.strip()}" for line in part.strip().splitlines()[1:]), "```", "")
        else:
            yield from (" ".join(part.split()), "")


def option_row(option: Any) -> tuple[str, str, str]:
    names = ", ".join(f"`{each}`" for each in option.opts)
    default = "" if option.default in (None, False, [], ()) else f"`{option.default}`"
    return names, default, option.help or ""


def optimisations_page() -> str:
    """Every pass that keeps tokens, in its order, and the equations that it puts."""
    lines = [GENERATED, head("optimisations"), ""]
    for each in OPTIMISATION:
        about = inspect.getdoc(inspect.getmodule(type(each))) if not isinstance(each, RulePass) else about_rules(each)
        lines += [f"## {each.name}", "", about or "", ""]
        if isinstance(each, RulePass) and each.rules:
            rows = [(rule.name, f"`{rule}`", inspect.getdoc(rule.equation) or "") for rule in each.rules]
            lines += [*table(("rule", "equation", "why"), rows), ""]
    return "\n".join(lines)


def about_rules(each: RulePass) -> str:
    """What the module that a pass's rules stand in says of itself."""
    return inspect.getdoc(inspect.getmodule(each.rules[0].equation)) or ""


def benchmarks_page() -> str:
    """What was measured, as `benchmarks/report.py` tells it of the results that are kept."""
    spec = importlib.util.spec_from_file_location("report", HERE.parent / "benchmarks" / "report.py")
    assert spec is not None and spec.loader is not None
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    return str(report.page())


PAGES = {
    "stages.md": stages_page,
    "examples.md": examples_page,
    "spec.md": spec_page,
    "cli.md": cli_page,
    "optimisations.md": optimisations_page,
    "benchmarks.md": benchmarks_page,
}


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page().rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
