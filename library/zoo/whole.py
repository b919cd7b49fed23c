"""Files and folders that are there as a whole or not at all: written under another name, then renamed.

Whoever is killed, at any moment, leaves the older version, or the newer one, or what bears a name nobody reads.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL, GONE = ".partial", ".gone"


def write(file: Path, text: str) -> None:
    """Give a file new contents."""
    partial = file.with_name(file.name + PARTIAL)
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


@contextmanager
def folder(final: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name, and the place of an older one, once it is full."""
    partial = final.with_name(final.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    gone = _set_aside(final)
    partial.rename(final)
    shutil.rmtree(gone, ignore_errors=True)


def remove(folder: Path) -> None:
    """Delete a folder: it loses its name first, since half of it must not bear that."""
    shutil.rmtree(_set_aside(folder))


def sweep(place: Path, names: str) -> None:
    """Delete the folders, of these names, that a kill left half written or half deleted."""
    for each in [*place.glob(names + PARTIAL), *place.glob(names + GONE)]:
        shutil.rmtree(each)


def _set_aside(folder: Path) -> Path:
    gone = folder.with_name(folder.name + GONE)
    shutil.rmtree(gone, ignore_errors=True)
    if folder.exists():
        folder.rename(gone)
    return gone
