"""A file of results that grows line by line: whatever stops a run, the same command goes on where it ended."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

from penstock.ir.errors import PenstockError

AGAIN = "name another --out file, or remove this one"


def digest(*of: Any) -> str:
    """A short name for a run, the same for the same spec, prompts and options."""
    return blake2b(json.dumps(of, sort_keys=True).encode(), digest_size=6).hexdigest()


def done(out: Path, run: str, prompts: Sequence[Any]) -> int:
    """How many whole lines of this run the file holds, one a prompt; what was cut off in the middle of a line goes.

    Raises PenstockError for a line of another run, and for one that has been moved, taken out or added.
    """
    try:
        content = out.read_bytes()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unkept(out, error) from None
    whole = content[: content.rfind(b"\n") + 1]
    lines = whole.splitlines()
    for number, line in enumerate(lines, 1):
        told, place = fields(line), f"{out}:{number}:1"
        if told.get("run") != run:
            raise PenstockError("the file holds results of another run", where=place, fix=AGAIN)
        if number > len(prompts) or told.get("prompt") != prompts[number - 1]:
            raise PenstockError(f"the file was changed: this is not the result of prompt {number}", where=place, fix=AGAIN)
    if content and not lines and not content.startswith(b'{"run": "'[: len(content)]):
        raise PenstockError("the file holds something else", where=str(out), fix=AGAIN)
    if len(whole) < len(content):
        with out.open("r+b") as file:
            file.truncate(len(whole))
    return len(lines)


def unkept(out: Path, error: OSError) -> PenstockError:
    """That nothing can be kept in a file."""
    return PenstockError(f"results cannot be kept here: {error.strerror}", where=str(out), fix="name a file as --out")


def fields(line: bytes) -> dict[str, Any]:
    """What a line of results says; nothing where it is no such line."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


@contextmanager
def growing(out: Path) -> Iterator[IO[str]]:
    """The file, to add lines to. Raises PenstockError."""
    try:
        file = out.open("a", encoding="utf-8", newline="\n")
    except OSError as error:
        raise unkept(out, error) from None
    with file:
        yield file


def line(record: dict[str, Any], ascii_only: bool = False) -> str:
    """One line of JSON."""
    return json.dumps(record, ensure_ascii=ascii_only)
