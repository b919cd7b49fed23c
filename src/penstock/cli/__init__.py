"""The command line: `penstock COMMAND SPEC`."""

from penstock.cli.app import print_anyhow
from penstock.cli.commands import app


def main() -> None:
    """Run the ``penstock`` command; exits with 0, 1 (a claim does not hold) or 2 (a mistake in what was asked)."""
    print_anyhow()
    app()
