"""Where in a user's Python something was declared."""

import sys
from pathlib import Path

OURS = ("penstock", "pydantic", "pydantic_core")


def caller() -> str | None:
    """``file:line`` of the innermost frame outside penstock and pydantic, relative to where we are if below."""
    frame = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in OURS:
        if frame.f_back is None:
            return None
        frame = frame.f_back
    file = Path(frame.f_code.co_filename)
    return f"{file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}:{frame.f_lineno}"
