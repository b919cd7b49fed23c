"""The log of a run: one JSON object a line, the course of the loss and what was measured on the way."""

import json
from pathlib import Path
from typing import Any

from penstock.library.zoo import whole

NAME = "log.jsonl"


def append(out: Path, line: dict[str, Any]) -> None:
    """Write one more line."""
    with (out / NAME).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def forget_after(out: Path, step: int) -> None:
    """Drop the lines of steps that will be taken again, and half a line, which a kill may leave at the end."""
    file = out / NAME
    if not file.exists():
        return
    kept = [line for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if _told(line) <= step]
    whole.write(file, "".join(kept))


def _told(line: str) -> float:
    """The step of a line; of half a line, one that never comes."""
    return float(json.loads(line)["step"]) if line.endswith("}\n") else float("inf")
