"""How commands end: a user's mistake is one message on stderr and exit code 2, never a traceback."""

import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from penstock.cli.pointed import pointed
from penstock.ir.errors import PenstockError

MISTAKE, INTERRUPTED = 2, 130

Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="A pipeline, as YAML or JSON.", show_default=False)]
Override = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", metavar="STAGE.FIELD=VALUE", help="Instead of the spec's value; may be repeated."),
]
Without = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="An optimisation to leave out, as `show --passes` names it; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Commands(TyperGroup):
    """A group of commands that may raise PenstockError."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PenstockError as error:
            typer.echo(f"error: {pointed(error)}", err=True)
            raise typer.Exit(MISTAKE) from None


def says_unicode() -> bool:
    """Whether stdout can print any text as it is."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def print_anyhow() -> None:
    """Where stdout cannot print a character, print what stands for it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def console() -> Console:
    """Where results are printed; made anew, since stdout may have been redirected."""
    return Console(highlight=False, markup=False, soft_wrap=True)
