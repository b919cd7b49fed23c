"""Results on disk, a file a benchmark, written cell by cell: a run that is killed goes on where it was."""

import json
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
WRITTEN = ("benchmarks/results", "docs/benchmarks.md")


class Kept:
    """The cells of one benchmark that have been measured."""

    def __init__(self, benchmark: str, folder: Path = RESULTS) -> None:
        self.file = folder / f"{benchmark}.json"
        self.cells: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}

    def has(self, name: str, quick: bool, commit: str) -> bool:
        """Whether a cell was measured on this commit, with as many rounds at least."""
        cell = self.cells.get(name)
        return cell is not None and cell["commit"] == commit and cell["quick"] <= quick

    def forget(self, but: Collection[str]) -> None:
        """Cells that there are no more."""
        self.cells = {name: cell for name, cell in self.cells.items() if name in but}

    def add(self, name: str, cell: dict[str, Any], commit: str) -> None:
        """Written whole or not at all."""
        self.cells[name] = {"commit": commit, **cell}
        self.file.parent.mkdir(exist_ok=True)
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(self.cells, indent=1) + "\n")
        new.replace(self.file)


def commit() -> str:
    """The commit that is measured, marked where files differ from it; what a run itself writes aside."""
    head = git("rev-parse", "--short", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", *(f":(exclude,top){path}" for path in WRITTEN))
    return f"{head or 'unknown'}{'-dirty' * bool(changed)}"


def git(*command: str) -> str:
    """What git says of this checkout; nothing where there is none."""
    done = subprocess.run(["git", *command], cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout.strip()
