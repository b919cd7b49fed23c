"""Small models trained from scratch by this repository: ``zoo:NAME`` names a folder next to this file."""

from pathlib import Path

from penstock.ir.errors import PenstockError
from penstock.library.zoo import index

PREFIX = "zoo:"
ALIASES = {"target-strong": "target"}
"""Other names: methods that want a weak and a strong model call the target that."""


def names() -> tuple[str, ...]:
    """The models whose weights are here."""
    return tuple(sorted(index.read()))


def named(name: str) -> str:
    """The one name of a model, from any of its names, with or without ``zoo:`` in front."""
    short = name.removeprefix(PREFIX)
    return ALIASES.get(short, short)


def path(name: str) -> Path:
    """The folder of a model, once every file in it is known to be what was exported. Raises PenstockError."""
    short, entries = named(name), index.read()
    if short not in entries:
        known = ", ".join(sorted({*entries, *(alias for alias, other in ALIASES.items() if other in entries)}))
        raise PenstockError(f"the zoo has no model {short!r}", where=name, fix=f"name one of {known}")
    index.verify(short, entries[short])
    return index.folder(short)


def tokenizer_path() -> Path:
    """The folder of the tokenizer all models of the zoo share."""
    return Path(__file__).resolve().parent / "tokenizer"
