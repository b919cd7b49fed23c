"""References that load, and the errors of those that do not."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load as load_tensors, save_file
from tiny_models import VOCAB, chain, tiny_model
from transformers import PreTrainedTokenizerFast

from penstock.backends.runtime.hf import load, text
from penstock.backends.runtime.hf.weights import layers_beyond
from penstock.ir.errors import PenstockError

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with a tokenizer that knows three tokens less than the model has logits."""
    place = tmp_path_factory.mktemp("model")
    tiny_model("llama").save_pretrained(place)
    words = {"<s>": 0, "</s>": 1, **{f"w{i}": i for i in range(2, VOCAB - 3)}}
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<s>"))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    raw.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>").save_pretrained(place)
    return place


def test_a_folder_loads_in_float32_without_padding_columns(folder: Path) -> None:
    words = text(str(folder))
    model = load(str(folder), vocab=words.vocab)
    assert (words.vocab, model.vocab) == (VOCAB - 3, VOCAB - 3)
    assert model.model.dtype == torch.float32
    assert not model.model.training
    cache = model.new_cache(1, 4)
    out = model.forward(cache, chain([[2, 3]], [0], 4))
    assert out.logits.shape == (1, 2, VOCAB - 3)
    assert not out.logits.requires_grad
    assert model.embed(torch.tensor([[2]])).shape == (1, 1, model.width)
    assert not model.embed(torch.tensor([2])).requires_grad


def test_text_there_and_back(folder: Path) -> None:
    words = text(str(folder))
    assert words.encode("w5 w6") == [0, 5, 6]
    assert words.encode("w5", special=False) == [5]
    assert words.decode([0, 5, 6, 1]) == "w5 w6"
    assert words.eos == {1}


def test_a_generation_config_names_every_end(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 7]}))
    assert text(str(tmp_path)).eos == {1, 7}


@pytest.mark.parametrize("reference", ["no/such/folder", "zoo:target", "hf-typo:org/name"])
def test_an_unknown_reference_is_refused(reference: str) -> None:
    for call in (load, text):
        with pytest.raises(PenstockError, match="no such model folder") as refusal:
            call(reference)
        assert refusal.value.where == reference
        assert refusal.value.fix is not None


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PenstockError, match=r"there is no config\.json"):
        load(str(tmp_path))
    with pytest.raises(PenstockError, match=r"cannot be loaded: .*from one of: +\(1\) .+"):
        text(str(tmp_path))


NORM, UP = "model.norm.weight", "model.layers.1.mlp.up_proj.weight"
HALF = "model.safetensors: SafetensorError: "
DAMAGED = {
    "missing": (f"weights do not fit config.json: {UP} is missing; {NORM} is missing$", {NORM: None, UP: None}, {}),
    "of another shape": (rf"weights do not fit config.json: {NORM} is \[7\], not \[64\]$", {NORM: torch.zeros(7)}, {}),
    "more layers": (r"model.layers.4.* is missing; .* and 6 more$", {}, {"num_hidden_layers": 5}),
    "fewer layers": (r"config.json: model.layers.2 is beyond its 2 layers; model.layers.3 is", {}, {"num_hidden_layers": 2}),
    "cut off": (HALF + "Error while deserializing header: incomplete metadata", -1000, {}),
    "empty": (HALF + "Error while deserializing header: header too small", 0, {}),
    "a size that is true": ("Validation error .*'vocab_size'.* expected int, got bool", {}, {"vocab_size": True}),
    "a negative size": ("cannot be loaded: RuntimeError: .*-5", {}, {"vocab_size": -5}),
    "no heads": ("cannot be loaded: ZeroDivisionError: ", {}, {"num_attention_heads": 0}),
    "no mapping": ("cannot be loaded: config.json should be a mapping$", {}, "[]"),
    "no JSON": ("cannot be loaded: config.json: Expecting property name", {}, "{"),
}


@pytest.mark.parametrize(("reason", "weights", "config"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_checkpoint_is_one_error_that_says_what_is_damaged(folder, tmp_path, reason, weights, config) -> None:
    held = (folder / "model.safetensors").read_bytes()
    if isinstance(weights, int):
        (tmp_path / "model.safetensors").write_bytes(held[:weights])
    else:
        tensors = {name: tensor for name, tensor in (load_tensors(held) | weights).items() if tensor is not None}
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    written = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(written | config))
    with pytest.raises(PenstockError) as refusal:
        load(str(tmp_path))
    assert re.search(reason, refusal.value.what) and "\n" not in refusal.value.what
    assert refusal.value.where == str(tmp_path)


def test_layers_that_predict_further_tokens_are_no_part_of_the_model() -> None:
    names = ["model.layers.4.mlp.up_proj.weight", "model.layers.5.norm.weight", "model.norm.layers.9.bias", "mtp.layers.7.weight"]
    model = tiny_model("llama")
    assert layers_beyond(model, names) == ["model.layers.4 is beyond its 4 layers", "model.layers.5 is beyond its 4 layers"]
    model.config.num_nextn_predict_layers = 1
    assert layers_beyond(model, names) == ["model.layers.5 is beyond its 4 layers"]


@pytest.mark.parametrize(("reference", "revision"), [("hf:org/name", None), ("hf:org/name@v1", "v1")])
def test_a_revision_is_what_is_fetched(reference, revision, folder, monkeypatch) -> None:
    asked = []
    fetch = lambda name, **options: asked.append((name, options["revision"])) or str(folder)  # noqa: E731
    monkeypatch.setattr(sys.modules[load.__module__], "snapshot_download", fetch)
    assert load(reference).name == reference
    assert set(asked) == {("org/name", revision)}


def test_weights_that_are_tied_are_not_missing(tmp_path: Path) -> None:
    model = tiny_model("llama")
    model.config.tie_word_embeddings = True
    model.tie_weights()
    model.save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_tensors((tmp_path / "model.safetensors").read_bytes())
    assert load(str(tmp_path)).vocab == VOCAB


@pytest.mark.parametrize("end", ['"x"', "1.5", '[1, "x"]'])
def test_an_end_that_is_no_token_is_refused(folder: Path, tmp_path: Path, end: str) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "generation_config.json").write_text(f'{{"eos_token_id": {end}}}')
    with pytest.raises(PenstockError, match=r"generation_config\.json: eos_token_id is "):
        text(str(tmp_path))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    model = tiny_model("llama")
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(PenstockError, match="safetensors"):
        load(str(tmp_path))


def test_remote_code_never_runs(tmp_path: Path) -> None:
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(PenstockError, match="cannot be loaded"):
        load(str(tmp_path))
