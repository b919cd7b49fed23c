"""Rows of token ids as a function of the step: resuming needs no memory of what was read."""

import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from penstock.library.zoo import markers
from penstock.library.zoo.data import prose
from penstock.library.zoo.data.draw import Split
from penstock.library.zoo.data.stream import example

Document = Callable[[int], str]
# A row uses at most this many documents, so that no two rows share an index.
STRIDE = 1 << 10


def document(seed: int, split: Split, share: float, folder: Path | None) -> Document:
    """The text of document ``index``: a generated example or, in a given share, a passage of prose."""

    def text(index: int) -> str:
        if folder is not None and random.Random(f"share/{seed}/{split}/{index}").random() < share:
            return prose.passage(folder, seed, split, index) + markers.END
        return example(seed, split, index).text()

    return text


def row(tokenizer: PreTrainedTokenizerBase, text: Document, index: int, length: int) -> list[int]:
    """``length`` ids of documents one after the other; the last one is cut."""
    ids: list[int] = []
    at = index * STRIDE
    while len(ids) < length:
        ids += tokenizer(text(at))["input_ids"]
        at += 1
    return ids[:length]


def batch(tokenizer: PreTrainedTokenizerBase, text: Document, step: int, rows: int, length: int) -> Tensor:
    """Ids [rows length+1] of step ``step``: inputs and, one place on, what follows them."""
    return torch.tensor([row(tokenizer, text, step * rows + each, length + 1) for each in range(rows)])
