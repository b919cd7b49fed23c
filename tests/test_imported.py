"""A generation config as a pipeline: the same greedy tokens, the same law of every sampled one, and nothing passed over."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig
from typer.testing import CliRunner

import penstock
from penstock.cli.commands import app
from penstock.ir.errors import PenstockError
from penstock.library import zoo

PROMPTS = ["Mia has 12 apples. Leo", "def add(a, b):"]
REFERENCE = "zoo:drafter-tiny"


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(zoo.path("drafter-tiny"), dtype=torch.float32).eval()


GREEDY = {
    "plain": {},
    "history": dict(repetition_penalty=1.3, no_repeat_ngram_size=2, bad_words_ids=[[32], [33, 40], [0]]),
    "biases": dict(sequence_bias=[[[236], 3.0], [[32, 33], -4.0]], suppress_tokens=[40], begin_suppress_tokens=[6]),
    "ends": dict(min_new_tokens=12, min_length=20, exponential_decay_length_penalty=(4, 1.5), forced_eos_token_id=7),
    "length": dict(min_length=24),
    "guidance": dict(guidance_scale=1.5),
    "lookup": dict(prompt_lookup_num_tokens=3),
    "sampling fields of a greedy config": dict(top_k=5, top_p=0.5),
}


@pytest.mark.parametrize("draft", [None, REFERENCE])
@pytest.mark.parametrize("case", GREEDY)
def test_greedy_tokens_are_those_of_generate(model, case, draft):
    if draft and case == "lookup":
        pytest.skip("one drafter at a time")
    config = GenerationConfig(max_new_tokens=18, do_sample=False, eos_token_id=0, pad_token_id=1, **GREEDY[case])
    runner = penstock.compile(penstock.from_generation_config(config, REFERENCE, draft))
    for result in runner.generate(PROMPTS):
        ids = torch.tensor([runner.text.encode(result.prompt)])
        told = {k: v for k, v in config.to_dict().items() if k not in ("top_k", "top_p", "prompt_lookup_num_tokens")}
        assert result.tokens == model.generate(ids, GenerationConfig(**told))[0, ids.shape[1] :].tolist()


SAMPLED = {
    "defaults": {},
    "nucleus": dict(temperature=0.7, top_k=0, top_p=0.8, repetition_penalty=1.2),
    "floors": dict(top_k=20, min_p=0.05, epsilon_cutoff=3e-3),
    "typical": dict(top_k=0, typical_p=0.7, eta_cutoff=2e-2, temperature=1.3),
}


@pytest.mark.parametrize("case", SAMPLED)
def test_every_sampled_token_has_the_probability_that_generate_gives_it(model, case):
    config = GenerationConfig(max_new_tokens=10, do_sample=True, eos_token_id=0, pad_token_id=1, **SAMPLED[case])
    runner = penstock.compile(penstock.from_generation_config(config, REFERENCE, REFERENCE))
    for result in runner.generate(PROMPTS, logprobs="composed"):
        ids = torch.tensor([runner.text.encode(result.prompt) + result.tokens])
        scores = model(ids).logits[0].detach()
        prepared, _ = model._prepare_generation_config(config)
        model._prepare_special_tokens(prepared, device="cpu")
        start = ids.shape[1] - len(result.tokens)
        shape = model._get_logits_processor(generation_config=prepared, input_ids_seq_length=start, device="cpu", model_kwargs={})
        for place, found in enumerate(result.logprobs, start):
            wanted = shape(ids[:, :place], scores[None, place - 1]).log_softmax(-1)[0, ids[0, place]]
            assert found == pytest.approx(float(wanted), abs=1e-4)


REFUSED = {
    "num_beams": 4,
    "num_return_sequences": 2,
    "penalty_alpha": 0.6,
    "dola_layers": "high",
    "top_h": 0.4,
    "watermarking_config": {"bias": 2.0},
    "max_time": 2.0,
    "token_healing": True,
    "encoder_repetition_penalty": 1.1,
    "output_scores": True,
    "a_field_of_tomorrow": 1,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_stage_stands_for_is_refused_by_name(name):
    with pytest.raises(PenstockError, match=f"field {name}: .* has no stage that stands for it"):
        penstock.from_generation_config({"max_new_tokens": 5, name: REFUSED[name]}, REFERENCE)


def test_every_field_of_a_config_is_known():
    """A field that transformers adds is refused until somebody has said what it means; one at its default says nothing."""
    assert penstock.from_generation_config(GenerationConfig(), REFERENCE).generate.max_new_tokens == 20
    set_to_defaults = GenerationConfig(**GenerationConfig._get_default_generation_params())
    assert penstock.from_generation_config(set_to_defaults, REFERENCE)


@pytest.mark.parametrize(
    "config, message",
    [
        (dict(min_new_tokens=3), "field eos_token_id is missing"),
        (dict(forced_eos_token_id=[1, 2]), "one token can be forced"),
        (dict(prompt_lookup_num_tokens=3), "a draft model and prompt_lookup_num_tokens are both given"),
        (dict(temperature="hot", do_sample=True), "stage transform.temperature, field value"),
    ],
)
def test_a_config_that_contradicts_itself_is_one_message(config, message):
    with pytest.raises(PenstockError, match=message):
        penstock.from_generation_config(config, REFERENCE, REFERENCE)


def test_a_mistake_in_a_file_is_told_with_its_place(tmp_path):
    (tmp_path / "generation_config.json").write_text('{"do_sample": true, "top_k": -1}')
    with pytest.raises(PenstockError, match=r"generation_config.json: stage transform.top_k, field k: should be greater"):
        penstock.from_generation_config(tmp_path, REFERENCE)


def test_the_command_prints_a_spec_that_checks(tmp_path):
    (tmp_path / "generation_config.json").write_text(json.dumps({"do_sample": True, "top_p": 0.9, "max_new_tokens": 8}))
    run = lambda *options: CliRunner().invoke(app, [*options])  # noqa: E731
    printed = run("import", str(tmp_path), "--model", REFERENCE)
    (tmp_path / "spec.yaml").write_text(printed.stdout)
    assert run("check", str(tmp_path / "spec.yaml")).exit_code == 0
    assert [*penstock.load(tmp_path / "spec.yaml").stages][-1].p == 0.9
    for content, message in ((b"[]", "the config is no mapping"), (b"\xff", "not JSON"), (None, "No such file")):
        (tmp_path / "other.json").unlink(missing_ok=True)
        if content is not None:
            (tmp_path / "other.json").write_bytes(content)
        refused = run("import", str(tmp_path / "other.json"), "--model", REFERENCE)
        assert refused.exit_code == 2 and message in refused.stderr


def test_the_tokens_that_end_a_text_are_those_of_the_config(model):
    plain = penstock.compile(penstock.from_generation_config(dict(max_new_tokens=12, do_sample=False), REFERENCE))
    [whole] = plain.generate(PROMPTS[:1])
    end = whole.tokens[5]
    config = GenerationConfig(max_new_tokens=12, do_sample=False, eos_token_id=[end, 0], pad_token_id=1)
    pipeline = penstock.from_generation_config(config, REFERENCE)
    [cut] = penstock.compile(penstock.load(penstock.dump(pipeline))).generate(PROMPTS[:1])
    assert cut.tokens == whole.tokens[: whole.tokens.index(end) + 1] and cut.status == "eos"
    with pytest.raises(PenstockError, match="generate, field eos: there is no token 9999"):
        penstock.check(pipeline.but(generate={"eos": (9999,)}))
