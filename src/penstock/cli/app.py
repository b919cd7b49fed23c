"""How commands end: a user's mistake is one message on stderr and exit code 2, never a traceback."""

import io
import sys
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from penstock.ir.errors import PenstockError

MISTAKE = 2


class Commands(TyperGroup):
    """A group of commands that may raise PenstockError."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PenstockError as error:
            typer.echo(f"error: {error}", err=True)
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
