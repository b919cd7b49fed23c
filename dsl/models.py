"""Model references: where a model comes from, parsed; equal references are one model.

``hf:org/name`` is a repository of the Hugging Face hub, ``hf:org/name@revision`` a branch, tag or commit of it, ``zoo:name`` a
model of this repository, ``table:vocab:seed[:layers]`` an exact toy, and anything with a slash or a leading dot a local folder.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock.ir.errors import PenstockError

FIX = "write hf:organisation/name, hf:organisation/name@revision, zoo:name, table:vocabulary:seed, or a folder such as ./name"
WORD = r"[A-Za-z0-9][A-Za-z0-9._-]*"
MAX_TABLE, MAX_LAYERS = 256, 8


@dataclass(frozen=True)
class HubModel:
    """A repository of the Hugging Face hub."""

    repository: str
    revision: str | None = None
    """A branch, a tag or a commit; the default branch if none."""

    def __str__(self) -> str:
        return f"hf:{self.repository}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True)
class ZooModel:
    """A model that this repository trained and ships."""

    name: str

    def __str__(self) -> str:
        return f"zoo:{self.name}"


@dataclass(frozen=True)
class TableModel:
    """A seeded toy of order ``layers + 1`` over ``vocab`` tokens."""

    vocab: int
    seed: int
    layers: int = 1

    def __str__(self) -> str:
        return f"table:{self.vocab}:{self.seed}" + (f":{self.layers}" if self.layers != 1 else "")


@dataclass(frozen=True)
class FolderModel:
    """A local folder in the Hugging Face layout."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)


ModelReference = HubModel | ZooModel | TableModel | FolderModel


def parse(reference: str, base: Path | None = None) -> ModelReference:
    """What a reference names; a relative folder is looked for from ``base``. Raises PenstockError."""
    scheme, colon, rest = reference.partition(":")
    if colon and scheme in READERS:
        return READERS[scheme](reference, rest)
    if reference.startswith((".", "~", "/")) or ("/" in reference and not colon):
        return FolderModel(folder(reference, base or Path()))
    known = f"there is no scheme {scheme!r}" if colon else "it names no place"
    raise PenstockError(f"model reference {reference!r}: {known}", fix=FIX)


def folder(reference: str, base: Path) -> Path:
    """Where a folder is, from a path that may be none: an unknown user's home, a null character."""
    try:
        return (base / Path(reference).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise PenstockError(f"model reference {reference!r}: {error}", fix=FIX) from None


def is_reference(text: str) -> bool:
    """Whether a text can only be meant as a reference, being no name."""
    return ":" in text or "/" in text or text.startswith((".", "~"))


def hub(reference: str, rest: str) -> HubModel:
    found = re.fullmatch(f"({WORD}/{WORD})(?:@({WORD}(?:/{WORD})*))?", rest)
    if not found:
        what = f"model reference {reference!r}: not of the form hf:organisation/name or hf:organisation/name@revision"
        raise PenstockError(what, fix=FIX)
    return HubModel(*found.groups())


def zoo(reference: str, rest: str) -> ZooModel:
    if not re.fullmatch(WORD, rest):
        raise PenstockError(f"model reference {reference!r}: not of the form zoo:name", fix=FIX)
    return ZooModel(rest)


def table(reference: str, rest: str) -> TableModel:
    numbers = rest.split(":")
    if len(numbers) not in (2, 3) or not all(re.fullmatch(r"[0-9]{1,9}", number) for number in numbers):
        raise PenstockError(f"model reference {reference!r}: not of the form table:vocabulary:seed[:layers]", fix=FIX)
    vocab, seed, layers = (*map(int, numbers), 1)[:3]
    if not 2 <= vocab <= MAX_TABLE or not 1 <= layers <= MAX_LAYERS:
        raise PenstockError(
            f"model reference {reference!r}: a table has 2 to {MAX_TABLE} tokens and 1 to {MAX_LAYERS} layers",
            fix="for example table:3:0, three tokens and seed 0",
        )
    return TableModel(vocab, seed, layers)


READERS: dict[str, Callable[[str, str], ModelReference]] = {"hf": hub, "zoo": zoo, "table": table}
