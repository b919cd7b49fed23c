"""Held-out loss in bits per byte, comparable between tokenizers."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo.data import prose
from penstock.library.zoo.data.draw import Split
from penstock.library.zoo.data.stream import example

Texts = list[str]


def held_out_texts(split: Split, count: int, kind: str | None = None, seed: int = 1) -> Texts:
    """``count`` whole dialogues of a held-out split."""
    return [example(seed, split, index, kind).text() for index in range(count)]


def bits_per_byte(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Texts) -> float:
    """Surprise at everything after the first token of each text, in bits, per byte of it (markers included)."""
    bits, size = 0.0, 0
    for start in range(0, len(texts), 16):
        rows = [tokenizer(text)["input_ids"][:512] for text in texts[start : start + 16]]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [-100] * (longest - len(row)) for row in rows])
        logits = model(ids[:, :-1].clamp_min(0), use_cache=False).logits
        bits += float(F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="sum")) / math.log(2)
        size += sum(len(tokenizer.decode(row[1:], skip_special_tokens=False).encode()) for row in rows)
    return bits / size


def evaluation(tokenizer: PreTrainedTokenizerBase, folder: Path | None) -> Callable[[PreTrainedModel], dict[str, float]]:
    """What a run measures at each checkpoint, on a small sample of every held-out split."""
    samples: dict[str, Texts] = {split: held_out_texts(split, 64) for split in ("pairs", "templates")}
    if folder is not None:
        samples["prose"] = [prose.passage(folder, 1, "pairs", index) for index in range(16)]
    return lambda model: {name: bits_per_byte(model, tokenizer, texts) for name, texts in samples.items()}
