"""From model references to facts, models and tokenizers; facts are read without loading weights or transformers."""

import json
from pathlib import Path
from typing import Any

import torch

from penstock.backends.runtime import configuration as configured
from penstock.dsl.models import FolderModel, HubModel, ModelReference, TableModel, ZooModel
from penstock.ir.errors import PenstockError
from penstock.ir.host import Model, Text
from penstock.ir.standin import StandIn
from penstock.library import zoo

UNKNOWN, MANY = 0, 128
"""Width and layers of a model of which nothing is known: no vector and no early exit is refused before it is."""
CAUSAL = frozenset({"tree", "chunk", "embeds", "layers", "hidden", "kv_read", "stack"})


def facts(reference: ModelReference) -> StandIn | None:
    """Vocabulary and size of a model, from its configuration and its tokenizer's; None for a hub model, which is not here."""
    if isinstance(reference, TableModel):
        return StandIn(str(reference), reference.vocab, reference.vocab, reference.layers, CAUSAL | {"bidirectional"})
    if isinstance(reference, HubModel):
        return None
    config = configured.of_text(configuration(reference))
    sizes = configured.sizes(config)
    if None in sizes.values():
        raise PenstockError(
            f"config.json does not say {', '.join(sizes)}", where=str(reference), fix="name a causal language model"
        )
    logits, width, layers = sizes.values()
    tokens, mask = vocabulary_in(zoo.tokenizer_path() if isinstance(reference, ZooModel) else place(reference))
    able = configured.abilities_in(config)
    return StandIn(str(reference), min(logits, tokens or logits), width, layers, able, mask)  # type: ignore[type-var, arg-type]


def unknown(reference: ModelReference, vocab: int) -> StandIn:
    """What stands in for a model of which nothing is known but the vocabulary it has to have."""
    return StandIn(str(reference), vocab, width=UNKNOWN, layers=MANY, capabilities=CAUSAL | {"bidirectional"}, mask=0)


def vocabulary_in(folder: Path) -> tuple[int | None, int | None]:
    """``(ids, mask)``: how many ids a tokenizer has, beyond which logits are padding, and its mask token; None if not told."""
    try:
        written = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        words, added = written["model"]["vocab"], {each["content"]: each["id"] for each in written["added_tokens"]}
        ids = [*words.values()] if isinstance(words, dict) else [len(words) - 1]
        named = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("mask_token")
        return 1 + max([*ids, *added.values()]), added.get(named["content"] if isinstance(named, dict) else named)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, None


def configuration(reference: ModelReference) -> dict[str, Any]:
    """A folder's config.json."""
    file = place(reference) / "config.json"
    try:
        config = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise PenstockError(
            f"no readable model: {error}", where=str(reference), fix="give a folder in the Hugging Face layout"
        ) from None
    return config if isinstance(config, dict) else {}


def place(reference: ModelReference) -> Path:
    """The folder of a local model."""
    if isinstance(reference, ZooModel):
        return zoo.path(reference.name)
    assert isinstance(reference, FolderModel)
    return reference.folder


def model(reference: ModelReference, text: Text, dtype: torch.dtype = torch.float32) -> Model:
    """The model itself, weights loaded in ``dtype`` (tables are exact whatever it is), logits cut to its tokenizer's tokens."""
    if isinstance(reference, TableModel):
        from penstock.backends.runtime import table

        return table.TableModel(reference.vocab, reference.seed, reference.layers)  # type: ignore[return-value]
    from penstock.backends.runtime import hf

    loaded: Any = hf.load(address(reference), vocab=text.vocab, mask=text.mask, dtype=dtype)
    return loaded  # type: ignore[no-any-return]


def given(model: Any, name: str, text: Text) -> Model:
    """A model of transformers that is here already, as `model` gives it. Raises PenstockError for anything else."""
    if not hasattr(getattr(model, "config", None), "get_text_config"):
        what = f"the model given as {name} is a {type(model).__name__}"
        raise PenstockError(what, fix="give what AutoModelForCausalLM.from_pretrained returns")
    from penstock.backends.runtime import hf

    driven: Any = hf.wrapped(model, name, text.vocab, text.mask)
    return driven  # type: ignore[no-any-return]


def text(reference: ModelReference) -> Text:
    """The tokenizer of a model."""
    if isinstance(reference, TableModel):
        from penstock.backends.runtime.digits import Digits

        return Digits(reference.vocab)
    from penstock.backends.runtime import hf

    return hf.text(str(zoo.tokenizer_path()) if isinstance(reference, ZooModel) else address(reference))


def address(reference: ModelReference) -> str:
    """What the Hugging Face adapter loads."""
    return str(reference) if isinstance(reference, HubModel) else str(place(reference))


def one_vocabulary(texts: dict[str, Text]) -> None:
    """Tokens are exchanged between models, so every id must mean the same bytes to all. Raises PenstockError naming both."""
    (first, text), *others = texts.items()
    for name, other in others:
        for token, (mine, theirs) in enumerate(zip(*meanings(text, other), strict=False)):
            if mine != theirs:
                raise PenstockError(
                    f"models {first} and {name} have different vocabularies: token {token} is {mine!r} and {theirs!r}",
                    fix="draft with a model that shares the target's tokenizer",
                )


def meanings(*texts: Text) -> list[list[Any]]:
    """By id what each tokenizer's tokens are: bytes, or, where those of one are not known, tokens as all spell them."""
    try:
        return [list(text.pieces) for text in texts]
    except PenstockError:
        return [[token for token, _ in sorted(spelling(text).items(), key=lambda pair: pair[1])] for text in texts]


def spelling(text: Any) -> dict[str, int]:
    """Id by token."""
    return dict(text.tokenizer.get_vocab()) if hasattr(text, "tokenizer") else {str(i): i for i in range(text.vocab)}
