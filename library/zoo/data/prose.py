"""Passages of the plain text a user may mix in; a tenth of every file, in blocks, is held out."""

import random
from functools import lru_cache
from pathlib import Path

from penstock.ir.errors import PenstockError
from penstock.library.zoo.data.draw import Split, held_out

BLOCK = 20_000


@lru_cache(maxsize=4)
def blocks(folder: Path, held: bool) -> tuple[str, ...]:
    """The blocks of every ``*.txt`` in ``folder`` that are, or are not, held out."""
    texts = [(path.name, path.read_text(encoding="utf-8", errors="ignore")) for path in sorted(folder.glob("*.txt"))]
    if not texts:
        raise PenstockError("no *.txt file here", where=str(folder), fix="name a folder of plain text, or leave it out")
    cut = [(name, start, text[start : start + BLOCK]) for name, text in texts for start in range(0, len(text), BLOCK)]
    kept = tuple(block for name, start, block in cut if held_out("prose", name, start) == held)
    if not kept:
        what = f"too little text: of its {len(cut)} blocks none is {'held out' if held else 'left to train on'}"
        raise PenstockError(what, where=str(folder), fix=f"give more than {20 * BLOCK:,} characters, or leave it out")
    return kept


def passage(folder: Path, seed: int, split: Split, index: int, length: int = 1200) -> str:
    """A passage of ``length`` characters that begins at a line of its block."""
    draw = random.Random(f"prose/{seed}/{split}/{index}")
    block = draw.choice(blocks(folder, split != "train"))
    start = block.find("\n", draw.randrange(max(1, len(block) - length))) + 1
    return " ".join(block[start : start + length].split())
