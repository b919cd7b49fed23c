"""A mistake shown in the text it was made in: the line, and a caret under the column."""

import re
from itertools import islice
from pathlib import Path

from penstock.ir.errors import PenstockError

PLACE = re.compile(r"(?P<file>.+):(?P<line>[0-9]+):(?P<column>[0-9]+)", re.DOTALL)
WIDEST = 160
"""Characters of a line that are shown."""


def pointed(error: PenstockError) -> str:
    """The message; where it has line and column in a file that can still be read, with that line and a caret below."""
    shown = quoted(error.where or "")
    place = f"{error.where}: " if error.where else ""
    remedy = f"\n  fix: {error.fix}" if error.fix else ""
    return f"{place}{error.what}{shown}{remedy}"


def quoted(where: str) -> str:
    """The line of a place with a caret, each on a line of its own; nothing where there is no such line."""
    match = PLACE.fullmatch(where)
    if match is None:
        return ""
    number, column = int(match["line"]), int(match["column"])
    text = line_of(Path(match["file"]), number)
    if text is None or column > WIDEST:
        return ""
    margin = " " * len(str(number))
    # A tab before the caret stays a tab, so that both lines are as wide.
    before = "".join(each if each == "\t" else " " for each in text[: column - 1])
    return f"\n  {number} | {text[:WIDEST]}\n  {margin} | {before}^"


def line_of(file: Path, number: int) -> str | None:
    """A line of a text file, if it is there and can be printed."""
    try:
        if not file.is_file():  # reading a pipe again would wait for ever
            return None
        with file.open(encoding="utf-8-sig") as text:
            line = next(islice(text, number - 1, None), None)
    except (OSError, ValueError):
        return None
    if line is None or not line.strip():
        return None
    return "".join(each if each.isprintable() or each == "\t" else "\N{REPLACEMENT CHARACTER}" for each in line.rstrip("\r\n"))
