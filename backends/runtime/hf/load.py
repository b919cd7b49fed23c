"""From a reference (``hf:org/name[@revision]`` or a local folder) to a model and a tokenizer; remote code never runs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging

from penstock.backends.runtime.hf.lean import lean
from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.hf.packing import packed
from penstock.backends.runtime.hf.recurrent import RecurrentModel
from penstock.backends.runtime.hf.survey import is_recurrent
from penstock.backends.runtime.hf.text import HuggingFaceText
from penstock.backends.runtime.hf.weights import fitting
from penstock.ir.errors import PenstockError

HUB = "hf:"
FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
"""What is fetched of a hub repository: configuration, safetensors, tokenizer; no pickles, no code."""
COPIES = ["consolidated*", "original/*"]
"""The same weights once more, in the shape of the people who trained them."""
FIX = "give hf:organisation/name[@revision], or a local folder with config.json, model.safetensors and tokenizer files"


def load(
    reference: str,
    *,
    vocab: int | None = None,
    mask: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> HuggingFaceModel | RecurrentModel:
    """The model of a reference, from safetensors only; logits beyond ``vocab`` (the tokenizer's) are cut off.

    ``mask``: the tokenizer's mask token, which a canvas is made of.
    """
    return wrapped(lean(packed(pretrained(reference, dtype).to(device))), reference, vocab, mask)


def pretrained(reference: str, dtype: torch.dtype = torch.float32) -> Any:
    """The model of transformers that a reference names, as it comes. Raises PenstockError for weights that do not fit it."""
    if not (Path(folder(reference)) / "config.json").is_file():
        raise PenstockError("there is no config.json", where=reference, fix=FIX)
    options = dict(dtype=dtype, use_safetensors=True, ignore_mismatched_sizes=True, output_loading_info=True)
    model, found = _pretrained(AutoModelForCausalLM, reference, trust_remote_code=False, **options)
    fitting(model, reference, found, FIX)
    return model


def wrapped(model: Any, name: str, vocab: int | None = None, mask: int | None = None) -> HuggingFaceModel | RecurrentModel:
    """A model of transformers as a `Model`, by what its layers keep. Raises PenstockError for one that cannot be driven."""
    return (RecurrentModel if is_recurrent(model) else HuggingFaceModel)(model, name, vocab, mask)


def text(reference: str) -> HuggingFaceText:
    """The tokenizer of a reference; ``eos`` is what the model's configuration names, else the tokenizer's own."""
    tokenizer = _pretrained(AutoTokenizer, reference, trust_remote_code=False)
    return HuggingFaceText(tokenizer, _eos(reference) or frozenset({tokenizer.eos_token_id} - {None}))


def folder(reference: str) -> str:
    """Where a reference's files lie, fetched from the hub if need be."""
    if reference.startswith(HUB):
        name, _, revision = reference.removeprefix(HUB).partition("@")
        patterns = dict(allow_patterns=FILES, ignore_patterns=COPIES)
        return _guarded(reference, snapshot_download, name, revision=revision or None, **patterns)
    if Path(reference).is_dir():
        return reference
    raise PenstockError("no such model folder", where=reference, fix=FIX)


def _eos(reference: str) -> frozenset[int]:
    place = Path(folder(reference))
    for name, source in (("generation_config.json", GenerationConfig), ("config.json", AutoConfig)):
        if (place / name).exists():
            ends = _pretrained(source, reference).eos_token_id
            ids = ends if isinstance(ends, list) else [ends]
            if not all(isinstance(token, int) for token in ids if ends is not None):
                raise PenstockError(f"{name}: eos_token_id is {ends!r}", where=reference, fix="give a token's id, or a list")
            if ends is not None:
                return frozenset(ids)
    return frozenset()


def _pretrained(source: Any, reference: str, **options: Any) -> Any:
    logging.disable_progress_bar()  # a bar of transformers' own would stand in the middle of ours
    with hushed():  # and so would its report on weights, of which ours says what matters
        return _guarded(reference, source.from_pretrained, folder(reference), **options)


@contextmanager
def hushed() -> Iterator[None]:
    """Transformers says errors alone."""
    loud = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(loud)


def _guarded(reference: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call, or say in one line why transformers or the hub could not."""
    try:
        return call(*arguments, **options)
    except Exception as error:  # damaged files end in whatever the code that reads them trips over
        reason = _damage(Path(arguments[0])) or _reason(error)
        raise PenstockError(f"cannot be loaded: {reason}", where=reference, fix=FIX) from error


def _reason(error: Exception) -> str:
    """What an exception says, in one line; all of it where the first line only announces the rest."""
    first, *rest = str(error).strip().splitlines() or [""]
    text = " ".join([first, *(line.strip() for line in rest)]) if first.rstrip().endswith(":") else first
    return text if isinstance(error, OSError | ValueError | ImportError) and text else f"{type(error).__name__}: {text}"


def _damage(place: Path) -> str | None:
    """The file of a folder that cannot be read, and why, if there is one."""
    for file in sorted(place.glob("*.json")):
        try:
            held = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            return f"{file.name}: {_reason(error)}"
        if not isinstance(held, dict) and file.name.endswith("config.json"):
            return f"{file.name} should be a mapping"
    for file in sorted(place.glob("*.safetensors")):
        try:
            safe_open(file, framework="pt").__exit__(None, None, None)
        except (OSError, SafetensorError) as error:
            return f"{file.name}: {_reason(error)}"
    return None
