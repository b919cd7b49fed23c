"""From a reference (``hf:org/name`` or a local folder) to a model and a tokenizer; remote code never runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging

from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.hf.text import HuggingFaceText
from penstock.ir.errors import PenstockError

HUB = "hf:"
FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
"""What is fetched of a hub repository: configuration, safetensors, tokenizer; no pickles, no code."""
COPIES = ["consolidated*", "original/*"]
"""The same weights once more, in the shape of the people who trained them."""
FIX = "give hf:organisation/name, or a local folder with config.json, model.safetensors and tokenizer files"


def load(
    reference: str,
    *,
    vocab: int | None = None,
    mask: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> HuggingFaceModel:
    """The model of a reference, from safetensors only; logits beyond ``vocab`` (the tokenizer's) are cut off.

    ``mask``: the tokenizer's mask token, which a canvas is made of.
    """
    model = _pretrained(AutoModelForCausalLM, reference, dtype=dtype, use_safetensors=True, trust_remote_code=False)
    return HuggingFaceModel(model.to(device), reference, vocab, mask)


def text(reference: str) -> HuggingFaceText:
    """The tokenizer of a reference; ``eos`` is what the model's configuration names, else the tokenizer's own."""
    tokenizer = _pretrained(AutoTokenizer, reference, trust_remote_code=False)
    return HuggingFaceText(tokenizer, _eos(reference) or frozenset({tokenizer.eos_token_id} - {None}))


def folder(reference: str) -> str:
    """Where a reference's files lie, fetched from the hub if need be."""
    if reference.startswith(HUB):
        name = reference.removeprefix(HUB)
        return _guarded(reference, snapshot_download, name, allow_patterns=FILES, ignore_patterns=COPIES)
    if Path(reference).is_dir():
        return reference
    raise PenstockError("no such model folder", where=reference, fix=FIX)


def _eos(reference: str) -> frozenset[int]:
    place = Path(folder(reference))
    for name, source in (("generation_config.json", GenerationConfig), ("config.json", AutoConfig)):
        if (place / name).exists():
            ends = _pretrained(source, reference).eos_token_id
            if ends is not None:
                return frozenset([ends] if isinstance(ends, int) else ends)
    return frozenset()


def _pretrained(source: Any, reference: str, **options: Any) -> Any:
    logging.disable_progress_bar()  # a bar of transformers' own would stand in the middle of ours
    return _guarded(reference, source.from_pretrained, folder(reference), **options)


def _guarded(reference: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call, or say in one line why transformers or the hub could not."""
    try:
        return call(*arguments, **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise PenstockError(f"cannot be loaded: {reason}", where=reference, fix=FIX) from error
