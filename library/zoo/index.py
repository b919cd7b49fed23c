"""``index.json``: every model's files with their sizes and hashes, what it is for, and what was measured of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from penstock.ir.errors import PenstockError
from penstock.library.zoo import whole

ROOT = Path(__file__).resolve().parent
Tables = dict[str, dict[str, float]]
"""Measured figures: by table, then by column."""


@dataclass(frozen=True)
class Seal:
    """What tells a file from every other."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A model: what it is for, its parameters, its files, its figures (the first one says most about it)."""

    purpose: str
    parameters: int
    files: Mapping[str, Seal]
    figures: Tables = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(seal.size for seal in self.files.values())


def folder(name: str) -> Path:
    """Where a model's files are, or would be."""
    return ROOT / "models" / name


def read() -> dict[str, Entry]:
    """All models that were exported, by name."""
    file = ROOT / "index.json"
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
        return {name: entry(told) for name, told in written.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise PenstockError(f"the index of the zoo cannot be read: {error}", where=str(file), fix="reinstall penstock") from None


def entry(told: dict[str, object]) -> Entry:
    """An entry from plain data."""
    made = Entry(**told)  # type: ignore[arg-type]
    return replace(made, files={name: Seal(**seal) for name, seal in made.files.items()})  # type: ignore[arg-type]


def write(entries: Mapping[str, Entry]) -> None:
    """Replace the index."""
    told = {name: asdict(entries[name]) for name in sorted(entries)}
    whole.write(ROOT / "index.json", json.dumps(told, indent=1) + "\n")


def sealed(place: Path) -> dict[str, Seal]:
    """The seals of the files of a folder."""
    files = sorted(each for each in place.iterdir() if each.is_file())
    return {each.name: Seal(each.stat().st_size, digest(each)) for each in files}


def digest(file: Path) -> str:
    """A file's sha256."""
    return sha256(file.read_bytes()).hexdigest()


def verify(name: str, told: Entry) -> None:
    """Raise PenstockError unless every file of a model is there and as it was exported."""
    for file, seal in told.files.items():
        place = folder(name) / file
        wrong = difference(place, seal)
        if wrong:
            fix = f"reinstall penstock, or train it again: penstock zoo train {name} --out FOLDER"
            raise PenstockError(f"{file} of zoo:{name} {wrong}", where=str(place), fix=fix)


def difference(place: Path, seal: Seal) -> str:
    """What is wrong with a file, in words; nothing if it is what was sealed."""
    try:
        found = place.stat()
        if found.st_size != seal.size:
            return f"is damaged: it has {found.st_size:,} bytes instead of {seal.size:,}"
        same = _digest_at(place, found.st_size, found.st_mtime_ns) == seal.sha256
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if same else "is damaged: its sha256 is not the one in the index"


@lru_cache(maxsize=256)
def _digest_at(place: Path, size: int, changed: int) -> str:
    """A file's sha256, read once for as long as it does not change."""
    return digest(place)
