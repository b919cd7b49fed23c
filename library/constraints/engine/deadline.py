"""Compiling with a deadline."""

import subprocess
import sys
from pathlib import Path

from penstock.ir.errors import PenstockError
from penstock.library.constraints.engine.guidance import first_line

PROBE = Path(__file__).with_name("probe.py")


def compiles_within(grammar: str, seconds: float) -> None:
    """Raises PenstockError for a grammar that does not compile, or not in time: tried in a process of its own first."""
    command = [sys.executable, "-P", str(PROBE)]
    try:
        done = subprocess.run(command, input=grammar, capture_output=True, text=True, encoding="utf-8", timeout=seconds)
    except subprocess.TimeoutExpired:
        raise PenstockError(
            f"it does not compile within {seconds:g} seconds", fix="make it simpler, or give it more compile_seconds"
        ) from None
    if done.returncode:
        raise PenstockError(f"it cannot be compiled: {last_line(done.stderr)}")
    if done.stdout:
        raise PenstockError(f"it does not compile: {first_line(done.stdout)}")


def last_line(report: str) -> str:
    return (report.strip().splitlines() or ["the process that compiles it ended"])[-1]
