"""Held-out loss in bits per byte, comparable between tokenizers."""

import math

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo.markers import CONTEXT


@torch.no_grad()
def bits_per_byte(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> float:
    """Surprise at everything after the first token of each text, in bits, per byte of it (markers included)."""
    bits, size = 0.0, 0
    for start in range(0, len(texts), 16):
        rows = [tokenizer(text)["input_ids"][:CONTEXT] for text in texts[start : start + 16]]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [-100] * (longest - len(row)) for row in rows], device=model.device)
        logits = model(ids[:, :-1].clamp_min(0), use_cache=False).logits
        bits += float(F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="sum")) / math.log(2)
        size += sum(len("".join(tokenizer.decode(row[1:], skip_special_tokens=False)).encode()) for row in rows)
    return bits / size
