"""Where in an author's own code something happened while it was traced."""

import sys
from typing import Any

MACHINERY = ("/torch/", "/penstock/ir/", "/penstock/passes/")
"""Whose lines say nothing to an author."""


def machinery(file: str) -> bool:
    """Whether a file is torch's or belongs to what traces."""
    return any(part in file for part in MACHINERY)


def author_line() -> str | None:
    """``file:line`` of the nearest caller outside the machinery."""
    frame: Any = sys._getframe(1)
    while frame is not None and machinery(frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def line_in(problem: BaseException) -> str | None:
    """``file:line`` of the innermost frame outside the machinery that a problem came through."""
    found, traceback = None, problem.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        found = found if machinery(name) else f"{name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found
