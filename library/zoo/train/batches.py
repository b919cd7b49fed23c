"""Rows of token ids as a function of the step: resuming needs no memory of what was read."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from penstock.library.zoo import markers
from penstock.library.zoo.data import prose
from penstock.library.zoo.data.draw import Split
from penstock.library.zoo.data.stream import example

# A request is made of random choices: nothing but noise can be learnt from most of its tokens.
REQUEST_WEIGHT = 0.1
# A row uses at most this many documents and a step this many rows, so that no two rows share a document.
DOCUMENTS, ROWS = 1 << 10, 1 << 8

Parts = list[tuple[str, float]]
Document = Callable[[int], Parts]


class Batch(NamedTuple):
    """Ids [B T+1] and how much each counts in the loss [B T+1]."""

    ids: Tensor
    weights: Tensor


def document(seed: int, split: Split, share: float, folder: Path | None) -> Document:
    """The weighted parts of document ``index``: a generated example or, in a given share, a passage of prose."""

    def parts(index: int) -> Parts:
        if folder is not None and random.Random(f"share/{seed}/{split}/{index}").random() < share:
            return [(prose.passage(folder, seed, split, index) + markers.END, 1.0)]
        made = example(seed, split, index)
        return [(made.prompt_text(), REQUEST_WEIGHT), (made.reply_text(), 1.0)]

    return parts


def row(tokenizer: PreTrainedTokenizerBase, parts: Document, index: int, length: int) -> list[tuple[int, float]]:
    """``length`` ids with their weights, of documents one after the other; the last one is cut."""
    found: list[tuple[int, float]] = []
    at = index * DOCUMENTS
    while len(found) < length:
        for text, weight in parts(at):
            found += [(each, weight) for each in tokenizer(text)["input_ids"]]
        at += 1
    return found[:length]


def batch(tokenizer: PreTrainedTokenizerBase, parts: Document, step: int, rows: int, length: int) -> Batch:
    """The batch of ``step``: inputs and, one place on, what follows them."""
    pairs = torch.tensor([row(tokenizer, parts, step * ROWS + each, length + 1) for each in range(rows)])
    return Batch(pairs[..., 0].long(), pairs[..., 1])
