"""Rows of token ids as a function of the step: resuming needs no memory of what was read."""

from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from penstock.library.zoo import markers
from penstock.library.zoo.data.document import Document

# A row uses at most this many documents and a step this many rows, so that no two rows share a document.
DOCUMENTS, ROWS = 1 << 10, 1 << 8
NONE = -1


class Batch(NamedTuple):
    """Ids [B T+1], how much each counts in the loss [B T+1], and the marker to predict after each, or NONE [B T+1]."""

    ids: Tensor
    weights: Tensor
    verdicts: Tensor | None = None

    def to(self, device: str) -> "Batch":
        """The same on another device."""
        verdicts = None if self.verdicts is None else self.verdicts.to(device)
        return Batch(self.ids.to(device), self.weights.to(device), verdicts)


def row(tokenizer: PreTrainedTokenizerBase, document: Document, index: int, length: int) -> list[tuple[int, float, int]]:
    """``length`` ids with their weights and verdicts, of documents one after the other; the last one is cut."""
    found: list[tuple[int, float, int]] = []
    at = index * DOCUMENTS
    while len(found) < length:
        for text, weight, verdict in document(at):
            said = markers.SPECIAL.index(verdict) if verdict else NONE
            found += [(each, weight, said) for each in tokenizer(text)["input_ids"]]
        at += 1
    return found[:length]


def batch(tokenizer: PreTrainedTokenizerBase, document: Document, step: int, rows: int, length: int) -> Batch:
    """The batch of ``step``: inputs and, one place on, what follows them."""
    told = [row(tokenizer, document, step * ROWS + each, length + 1) for each in range(rows)]
    pairs = torch.tensor([[(token, weight) for token, weight, _ in found] for found in told])
    verdicts = torch.tensor([[verdict for _, _, verdict in found] for found in told])
    return Batch(pairs[..., 0].long(), pairs[..., 1], verdicts if bool((verdicts != NONE).any()) else None)
