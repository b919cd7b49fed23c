"""References that load, and the errors of those that do not."""

import json
from pathlib import Path

import pytest
import torch
from tiny_models import VOCAB, chain, tiny_model
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from penstock.backends.runtime.hf import HuggingFaceModel, load, text
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
    with pytest.raises(PenstockError, match="cannot be loaded"):
        load(str(tmp_path))


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


@pytest.mark.parametrize(
    ("kind", "shape", "reason"),
    [
        ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}, "does not let its attention be replaced"),
        ("mamba", {"hidden_size": 32, "num_hidden_layers": 2}, "linear_attention layers"),
        ("deepseek_v3", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}, "one shape"),
    ],
)
def test_models_that_slots_cannot_drive_are_refused_by_name(kind: str, shape: dict[str, int], reason: str) -> None:
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, vocab_size=50, **shape, **ends))
    with pytest.raises(PenstockError, match=reason) as refusal:
        HuggingFaceModel(model, "org/odd-one")
    assert refusal.value.where == "org/odd-one"
    assert type(model).__name__ in refusal.value.what
