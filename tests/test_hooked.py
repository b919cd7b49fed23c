"""A pipeline inside `generate`: what transformers is told is applied as transformers applies it, or refused by name."""

from inspect import signature

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, StoppingCriteria

import penstock
from penstock.decode.binding import Bound
from penstock.decode.runner import Runner
from penstock.dsl.pipeline import Pipeline, View
from penstock.ir.errors import PenstockError
from penstock.library import Counterfactual, LogitsProcessors, ModelDrafter, ModelVerifier, PromptLookup, Temperature, zoo
from penstock.library.pacing.cost import Load
from penstock.testing import certify_stages, decode_stages

PROMPTS = ["Mia has 12 apples. Leo", "def add(a, b):", "The"]


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(zoo.path("drafter-tiny"), dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def inputs():
    tokenizer = AutoTokenizer.from_pretrained(zoo.tokenizer_path(), padding_side="left")
    return tokenizer(PROMPTS, return_tensors="pt", padding=True, return_token_type_ids=False)


@pytest.fixture(scope="module")
def runner(model):
    stages = (ModelDrafter(model="d", length=2, paths=2), ModelVerifier(model="t"))
    pipeline = Pipeline(models={"t": "zoo:drafter-tiny", "d": "zoo:drafter-tiny"}, stages=stages)
    return penstock.compile(pipeline, models={"t": model})


GREEDY = {
    "plain": {},
    "penalties": dict(repetition_penalty=1.3, no_repeat_ngram_size=2),
    "words": dict(bad_words_ids=[[32], [33, 40]], suppress_tokens=[40], sequence_bias={(236,): 3.0, (32, 33): -4.0}),
    "length": dict(min_new_tokens=18, exponential_decay_length_penalty=(4, 1.5)),
    "ends": dict(forced_eos_token_id=7, begin_suppress_tokens=[6]),
}


@pytest.mark.parametrize("case", GREEDY)
def test_greedy_tokens_are_those_of_generate_row_by_row(model, runner, inputs, case):
    """The draft is the model itself, so all of it is accepted and every depth of the tree is read."""
    options = dict(max_new_tokens=20, do_sample=False, **GREEDY[case])
    plain, ours = model.generate(**inputs, **options), model.generate(**inputs, **options, custom_generate=runner)
    assert torch.equal(plain, ours)


def test_calls_share_what_the_machine_and_the_models_have_shown(model, inputs):
    """With ``length: auto`` the first call surveys, timing steps of two drafted tokens and of none; the next begins as it ended.

    A call without processors is bound as the last was, and one with processors anew.
    """
    pipeline = Pipeline(models={"t": "zoo:drafter-tiny"}, stages=(PromptLookup(length="auto"), ModelVerifier(model="t")))
    runner, bound = penstock.compile(pipeline, models={"t": model}), list[Bound]()
    runner.steered = lambda *asked: bound.append(Runner.steered(runner, *asked)) or bound[-1]
    for options in ({}, {}, {"repetition_penalty": 1.3}, {"repetition_penalty": 1.3}):
        model.generate(**inputs, max_new_tokens=32, do_sample=False, custom_generate=runner, **options)
        paces = {placed.stage.pace for each in bound for placed in each.step.plan.stages if placed.stage.role == "drafter"}
        assert [pace.surveyed(Load(len(PROMPTS), 0.0)) for pace in paces] == [True]
    assert bound[0] is bound[1] and len(set(map(id, bound))) == 3


def test_sampling_options_are_applied(model, runner, inputs):
    greedy = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    assert torch.equal(model.generate(**inputs, max_new_tokens=12, do_sample=True, top_k=1, custom_generate=runner), greedy)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(model.generate(**inputs, max_new_tokens=12, do_sample=True, temperature=1.5, custom_generate=runner))
    assert drawn[0].tolist() == drawn[1].tolist() != drawn[2].tolist()


class StopsAfter(StoppingCriteria):
    """Once the text holds a token twice."""

    def __call__(self, input_ids, scores, **kwargs):
        return torch.tensor([row.tolist().count(32) >= 3 for row in input_ids])


class Told:
    def __init__(self):
        self.tokens, self.ended = [], False

    def put(self, value):
        self.tokens += value.flatten().tolist()

    def end(self):
        self.ended = True


def test_stopping_criteria_end_a_row_at_the_token_and_a_streamer_hears_each(model, runner, inputs):
    ids = inputs["input_ids"][:1]
    options = dict(max_new_tokens=40, do_sample=False, stopping_criteria=[StopsAfter()])
    plain, told = model.generate(ids, **options), Told()
    ours = model.generate(ids, **options, custom_generate=runner, pipeline_streamer=told)
    assert torch.equal(plain, ours) and ids.shape[1] < plain.shape[1] < ids.shape[1] + 40
    assert told.tokens == ours[0, ids.shape[1] :].tolist() and told.ended


def test_a_record_is_returned_where_one_is_asked_for(model, runner, inputs):
    ids = inputs["input_ids"][:1]
    found = model.generate(ids, max_new_tokens=5, do_sample=False, return_dict_in_generate=True, custom_generate=runner)
    assert torch.equal(found.sequences, model.generate(ids, max_new_tokens=5, do_sample=False))


def filled(model, ids):
    cache = DynamicCache(config=model.config)
    for layer in range(model.config.num_hidden_layers):
        cache.update(*torch.zeros(2, 1, 3, ids.shape[1] - 1, 16), layer)
    # transformers renamed the argument in 5.24 and warns about the old name.
    return {"cache" if "cache" in signature(model.forward).parameters else "past_key_values": cache}


IGNORED = {
    "output_scores=True": lambda model, ids: dict(output_scores=True, return_dict_in_generate=True),
    "num_beams=2": lambda model, ids: dict(num_beams=2),
    "a filled cache": filled,
    "the attention mask hides": lambda model, ids: dict(attention_mask=torch.tensor([[1] * (ids.shape[1] - 1) + [0]])),
    "position_ids do not count from 0": lambda model, ids: dict(position_ids=torch.arange(3, 3 + ids.shape[1])[None]),
    "remembers what it was asked": lambda model, ids: dict(guidance_scale=1.5),
}


@pytest.mark.parametrize("what", IGNORED)
def test_what_would_be_ignored_is_refused(model, runner, inputs, what):
    ids = inputs["input_ids"][:1, -4:]
    with pytest.raises(PenstockError, match=what):
        model.generate(ids, max_new_tokens=4, custom_generate=runner, **IGNORED[what](model, ids))


def test_another_model_and_other_prompts_are_refused(runner, inputs):
    other = AutoModelForCausalLM.from_pretrained(zoo.path("drafter-tiny"), dtype=torch.float32)
    with pytest.raises(PenstockError, match=r"not the target of the pipeline\n.*compile\(pipeline, models=\{name: model\}\)"):
        other.generate(inputs["input_ids"][:1], max_new_tokens=4, custom_generate=runner)
    view = View(model="t", prompt=Counterfactual(swap={"Mia": "Leo"}))
    pipeline = Pipeline(models={"t": "zoo:drafter-tiny"}, views={"v": view}, stages=(ModelVerifier(model="t", view="v"),))
    with pytest.raises(PenstockError, match="generate gives ids, not texts"):
        other.generate(inputs["input_ids"][:1], max_new_tokens=4, custom_generate=penstock.compile(pipeline, models={"t": other}))
    with pytest.raises(PenstockError, match="no stage decodes with a model 'x'\n.*the models are t"):
        penstock.compile(Pipeline(models={"t": "zoo:drafter-tiny"}, stages=(ModelVerifier(model="t"),)), models={"x": other})


def never_twice(ids, logits):
    """Makes every token unlikely that the text holds already, but for the first."""
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, ids[:, 1:], True)
    return logits - 5.0 * seen


class Counting:
    """Remembers how often it was asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, ids, logits):
        self.asked += 1
        return logits + torch.arange(logits.shape[-1]) * self.asked


@pytest.mark.parametrize("drafter", [(), (ModelDrafter(model="d", length=2),), (ModelDrafter(model="d", length=2, paths=2),)])
def test_every_site_is_shown_its_own_text(drafter):
    stages = (*drafter, ModelVerifier(model="t"), LogitsProcessors(processors=(never_twice,)), Temperature(value=0.8))
    certificate = certify_stages(stages, vocab=4, batch=2)
    assert certificate.holds, certificate.report()
    assert decode_stages(stages, [5, 6], vocab=5) == decode_stages(stages, [5, 6], vocab=5, lowered=False)


def test_the_proof_sees_a_processor_that_is_shown_another_text(monkeypatch):
    """A published mistake: every node of a draft shaped by the committed text alone."""
    monkeypatch.setattr("penstock.ir.ops.paths.path", lambda tokens, parents, site: [0] * (site > 0) * depth(parents, site))
    stages = (ModelDrafter(model="d", length=2), ModelVerifier(model="t"), LogitsProcessors(processors=(never_twice,)))
    assert not certify_stages(stages, vocab=4).holds


def depth(parents, site):
    return 0 if site == 0 else 1 + depth(parents, parents[site - 1] + 1)


def fails(ids, logits):
    raise ValueError("boo")


@pytest.mark.parametrize(
    "processor, drafted, message",
    [
        (lambda ids, logits: logits[:, :2], False, r"returned \[1, 2\], not logits \[1, 3\]"),
        (lambda ids, logits: logits[:, :2], True, r"returned \[., 2\], not logits"),
        (lambda ids, logits: None, True, "returned a NoneType, not logits"),
        (lambda ids, logits: logits * float("nan"), True, "the logits of row 0 are NaN"),
        (fails, True, "fails on a text that it is tried on: ValueError: boo"),
    ],
)
def test_a_processor_that_returns_no_logits_is_one_message(processor, drafted, message):
    drafters = (ModelDrafter(model="d"),) if drafted else ()
    with pytest.raises(PenstockError, match=message):
        decode_stages((*drafters, ModelVerifier(model="t"), LogitsProcessors(processors=(processor,))), [1])


def test_one_that_remembers_is_for_undrafted_pipelines():
    verifier, counting = ModelVerifier(model="t"), LogitsProcessors(processors=(Counting(),))
    with pytest.raises(PenstockError, match="stage transform.logits_processors: Counting remembers what it was asked"):
        decode_stages((ModelDrafter(model="d"), verifier, counting), [1])
    assert decode_stages((verifier, counting), [1])
    with pytest.raises(PenstockError, match="stage transform.logits_processors holds Python objects, and a spec is data"):
        penstock.dump(Pipeline(models={"t": "table:5:1"}, stages=(verifier, counting)))
    spec = 'penstock: 1\nmodels: {t: "table:5:1"}\npipeline: [{verifier.model: {model: t}},\n    transform.logits_processors]'
    with pytest.raises(PenstockError, match="<text>:4:5: .* no stage transform.logits_processors that a spec can hold"):
        penstock.load(spec)
    assert "transform.logits_processors" not in str(penstock.schema())
