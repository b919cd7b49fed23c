"""Up to the last position: models that learnt their positions have none beyond, where drafts may still reach."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import penstock
from penstock.dsl.pipeline import Pipeline
from penstock.ir.errors import PenstockError
from penstock.library import ModelDrafter, ModelVerifier, Temperature
from penstock.library.zoo import tokenizer_path

CONTEXT = 32
LONG = {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [4.0] * 8, "rope_theta": 1e4}
KINDS = {
    "opt": dict(hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=32),
    "mpt": dict(d_model=32, n_layers=2, n_heads=2, max_seq_len=CONTEXT),
    "gpt2": dict(n_embd=32, n_layer=2, n_head=2),
    "phi3": dict(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        original_max_position_embeddings=CONTEXT, rope_parameters=LONG, max_position_embeddings=2 * CONTEXT,
    ),
    "llama": dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2),
}


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    kind, out = request.param, tmp_path_factory.mktemp(request.param)
    ends = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
    config = AutoConfig.for_model(kind, **dict(vocab_size=4096, max_position_embeddings=CONTEXT) | ends | KINDS[kind])
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config)
    for weight in model.parameters():
        weight.data += torch.randn_like(weight) * 0.2
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(tokenizer_path()).save_pretrained(out)
    return out


def test_a_draft_that_reaches_beyond_the_context_changes_nothing(folder):
    prompt, models = "one two three", {"t": str(folder), "d": str(folder)}
    size = len(AutoTokenizer.from_pretrained(folder)(prompt)["input_ids"])
    texts = []
    for drafter in ((), (ModelDrafter(model="d", length=8),), (ModelDrafter(model="d", length=5, paths=2),)):
        pipeline = Pipeline(models=models, stages=(*drafter, ModelVerifier(model="t"), Temperature(value=0)))
        texts.append(penstock.run(pipeline, [prompt], max_new_tokens=CONTEXT - size)[0].tokens)
    assert len(texts[0]) == CONTEXT - size and texts[0] == texts[1] == texts[2]


def test_a_text_longer_than_the_context_is_refused(folder):
    """Of LongRoPE, longer than what it rotates by the same factors whatever else is in the batch."""
    pipeline = Pipeline(models={"t": str(folder)}, stages=(ModelVerifier(model="t"), Temperature(value=0)))
    with pytest.raises(PenstockError, match=f"exceed the {CONTEXT} that .* can hold"):
        penstock.run(pipeline, ["one two three"], max_new_tokens=CONTEXT)
