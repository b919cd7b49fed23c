"""Files of prompts: plain text, one a line, or JSON lines; a broken line is told by its number."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.decode.dialogue import Prompt, is_dialogue
from penstock.ir.errors import PenstockError

FORM = '"text", {"prompt": "text"} or {"messages": [{"role": "user", "content": "text"}]}, with "params" if there are any'
FIELDS = ("prompt", "messages", "params")


@dataclass(frozen=True)
class Line:
    """One prompt of a file, with the request parameters that stand beside it."""

    number: int
    prompt: Prompt
    params: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Broken:
    """A line that is no prompt, and why."""

    number: int
    error: PenstockError


def read(path: Path) -> list[Line | Broken]:
    """All lines that are not blank. Raises PenstockError for a file that is no text or has none."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise PenstockError(f"the prompts cannot be read: {reason}", where=str(path)) from None
    lines = [(number, line) for number, line in enumerate(re.split(r"\r?\n", text), 1) if line.strip()]
    if not lines:
        raise PenstockError("there is no prompt", where=str(path), fix="write one a line, or leave --prompts out")
    if path.suffix != ".jsonl":
        return [Line(number, line) for number, line in lines]
    return [json_line(f"{path}:{number}", number, line) for number, line in lines]


def json_line(where: str, number: int, line: str) -> Line | Broken:
    """The prompt of a line of JSON, or what is wrong with it."""
    try:
        return Line(number, *asked(json.loads(line)))
    except json.JSONDecodeError as error:
        return Broken(number, PenstockError(f"not JSON: {error.msg}", where=f"{where}:{error.colno}", fix=f"write {FORM}"))
    except (ValueError, RecursionError) as error:
        return Broken(number, PenstockError(str(error), where=f"{where}:1", fix=f"write {FORM}"))


def asked(value: Any) -> tuple[Prompt, dict[str, float]]:
    """A prompt and its parameters, as JSON gives them. Raises ValueError."""
    if isinstance(value, str):
        return value, {}
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} is no prompt")
    other = [name for name in value if name not in FIELDS]
    if other:
        raise ValueError(f"there is no field {other[0]!r}")
    if ("prompt" in value) == ("messages" in value):
        raise ValueError("give either a prompt or messages")
    prompt: Any = value.get("prompt", value.get("messages"))
    if not isinstance(prompt, str) and not ("messages" in value and is_dialogue(prompt)):
        raise ValueError("the prompt is no text" if "prompt" in value else "messages are not all of the form role and content")
    params = value.get("params", {})
    if not isinstance(params, dict) or not all(map(is_number, params.values())):
        raise ValueError("params are not numbers by name")
    return prompt, params


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def sound(lines: Sequence[Line | Broken]) -> Iterator[Line]:
    """The lines that are prompts."""
    return (line for line in lines if isinstance(line, Line))
