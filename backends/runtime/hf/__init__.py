"""Models of Hugging Face transformers, unmodified, behind the `Model` and `Text` protocols."""

from penstock.backends.runtime.hf.lean import lean
from penstock.backends.runtime.hf.load import hushed, load, pretrained, text, wrapped
from penstock.backends.runtime.hf.model import HuggingFaceModel
from penstock.backends.runtime.hf.packing import packed
from penstock.backends.runtime.hf.recurrent import RecurrentModel
from penstock.backends.runtime.hf.text import HuggingFaceText

__all__ = [
    "HuggingFaceModel", "HuggingFaceText", "RecurrentModel", "hushed", "lean", "load", "packed", "pretrained", "text", "wrapped",
]  # fmt: skip
