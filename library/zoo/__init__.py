"""Small models trained from scratch by this repository: ``zoo:NAME`` names a folder next to this file."""

from pathlib import Path

from penstock.ir.errors import PenstockError

_HERE = Path(__file__).resolve().parent
PREFIX = "zoo:"


def names() -> tuple[str, ...]:
    """The models whose weights are here."""
    return tuple(sorted(found.parent.name for found in (_HERE / "models").glob("*/config.json")))


def path(name: str) -> Path:
    """The folder of a model, by its name with or without ``zoo:`` in front."""
    short = name.removeprefix(PREFIX)
    if short not in names():
        raise PenstockError(f"the zoo has no model {short!r}", where=name, fix=f"name one of {', '.join(names())}")
    return _HERE / "models" / short


def tokenizer_path() -> Path:
    """The folder of the tokenizer all models of the zoo share."""
    return _HERE / "tokenizer"
