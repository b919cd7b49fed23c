"""The runner: log probabilities, time by stage, streams, dialogues, batches."""

import pytest
import torch

import penstock
from penstock.backends.runtime.table import TableModel
from penstock.decode.stops import Stops
from penstock.decode.streamed import told
from penstock.dsl.pipeline import Pipeline
from penstock.ir.errors import PenstockError
from penstock.library import ModelDrafter, ModelVerifier, Regex, Temperature, TopK

MODELS = {"t": "table:7:1", "d": "table:7:2"}
STAGES = (ModelDrafter(model="d", length=3), ModelVerifier(model="t"), Temperature(value=0.7), TopK(k=4))
PROMPTS = ["1 2", "6", "3 3 1"]


def compiled(**how):
    return penstock.compile(Pipeline(models=MODELS, stages=STAGES), **how)


@pytest.mark.parametrize("backend", ["eager", "interpret", pytest.param("inductor", marks=pytest.mark.full)])
def test_logprobs_are_of_the_model_or_of_what_was_selected_from(backend):
    model, runner = TableModel(7, 1), compiled(backend=backend)
    for of in ("raw", "composed"):
        for result in runner.generate(PROMPTS, max_new_tokens=14, logprobs=of):
            text = [int(each) for each in result.prompt.split()] + result.tokens
            assert len(result.logprobs) == 14
            for place, found in enumerate(result.logprobs, len(text) - 14):
                logits = model.from_scratch(model.embed(torch.tensor(text[:place])))[-1]
                if of == "composed":
                    logits = logits / 0.7
                    logits = logits.masked_fill(logits < logits.topk(4).values[-1], -torch.inf)
                assert found == pytest.approx(float(logits.log_softmax(-1)[text[place]]), abs=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_models_compute_in_any_dtype_and_what_is_drawn_from_them_has_float32_or_more(dtype):
    models = {"t": "zoo:drafter-tiny", "d": "zoo:drafter-tiny"}
    runner = penstock.compile(Pipeline(models=models, stages=STAGES[:3]), dtype=dtype)
    (result,) = runner.generate(["The"], max_new_tokens=6, logprobs="raw")
    model = runner.loaded.models["t"].model
    ids = torch.tensor([runner.text.encode("The") + result.tokens])
    with torch.no_grad():
        found = model(ids).logits[0, -1 - len(result.tokens) : -1, : runner.text.vocab]
    wanted = found.to(torch.promote_types(found.dtype, torch.float32)).log_softmax(-1)
    assert model.dtype == getattr(torch, dtype) and len(result.tokens) == 6
    said = [float(row[token]) for row, token in zip(wanted, result.tokens, strict=True)]
    assert result.logprobs == pytest.approx(said, abs=0.1)


def test_logprobs_change_no_token():
    runner = compiled()
    plain = [result.tokens for result in runner.generate(PROMPTS, max_new_tokens=14)]
    assert [result.tokens for result in runner.generate(PROMPTS, max_new_tokens=14, logprobs="raw")] == plain
    assert all(result.logprobs is None for result in runner.generate(PROMPTS, max_new_tokens=2))


def test_a_text_that_all_views_read_is_encoded_once(monkeypatch):
    runner, read, encode = compiled(), [], type(compiled().text).encode
    monkeypatch.setattr(type(runner.text), "encode", lambda *args, **how: read.append(args[1]) or encode(*args, **how))
    assert runner.views_of("1 2") == {"t": [1, 2], "draft:d": [1, 2]} and read == ["1 2"]


def test_time_is_told_by_stage_and_changes_no_token():
    timed, plain = compiled(timed=True), compiled()
    told_, bare = timed.generate(PROMPTS, max_new_tokens=9), plain.generate(PROMPTS, max_new_tokens=9)
    assert [r.tokens for r in told_] == [r.tokens for r in bare]
    for result in told_:  # the temperature goes with top-k, in one op
        assert {"drafter.model.0", "verifier.model.0", "transform.top_k.0", "accept"} <= set(result.stats.stages)
        assert 0 < sum(result.stats.stages.values()) <= result.stats.seconds
    assert all(result.stats.stages == {} and result.stats.seconds > 0 for result in bare)


def test_batches_change_no_token():
    runner = compiled()
    whole = [r.tokens for r in runner.generate([*PROMPTS, *PROMPTS], max_new_tokens=9)]
    assert [r.tokens for r in runner.generate([*PROMPTS, *PROMPTS], max_new_tokens=9, batch=4)] == whole
    assert [r.tokens for r in runner.each([*PROMPTS, *PROMPTS], max_new_tokens=9, batch=4, skip=3)] == whole[3:]
    assert whole[:3] != whole[3:]  # an equal prompt is another request


def test_a_stream_is_the_text_in_pieces():
    runner = compiled()
    pieces = list(runner.stream("1 2", max_new_tokens=20, seed=5))
    [result] = runner.generate(["1 2"], max_new_tokens=20, seed=5)
    assert "".join(pieces) == result.text and len(pieces) > 3


def test_bindings_that_share_a_grammar_forget_its_texts_together():
    """A stream goes on after another batch, of a binding of its own, has begun and ended."""
    stages = ModelVerifier(model="t"), Regex(pattern="([a-m]|[n-z]+ )*")
    runner = penstock.compile(Pipeline(models={"t": "zoo:drafter-tiny"}, stages=stages))
    whole, pieces = (runner.stream("The", max_new_tokens=12, seed=5) for _ in range(2))
    begun = next(pieces)
    runner.generate(["A"], max_new_tokens=3, logprobs="raw")
    assert begun + "".join(pieces) == "".join(whole)


def test_what_is_told_is_never_taken_back():
    accent, smile = "caf\u00e9", "\U0001f600"
    held = "\N{REPLACEMENT CHARACTER}"
    assert list(told(["", "caf", "caf" + held, accent, accent, accent + held * 3, accent + smile])) == ["caf", "\u00e9", smile]
    assert list(told(["a", "a" + held])) == ["a", held]  # the text ends in half a character
    assert list(told(["ab", "xbc"])) == ["ab"]
    assert list(told([])) == []


def test_a_dialogue_is_written_as_the_chat_template_says():
    pipeline = Pipeline(models={"t": "zoo:drafter-tiny"}, stages=(ModelVerifier(model="t"), Temperature(value=0)))
    runner = penstock.compile(pipeline)
    turns = [{"role": "system", "content": "Answer at once."}, {"role": "user", "content": "Count."}]
    [spoken, written] = runner.generate([turns, "<|system|>Answer at once.<|user|>Count.<|assistant|>"], max_new_tokens=8)
    assert spoken.tokens == written.tokens and spoken.prompt == turns


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda: compiled(backend="fast"), "no backend 'fast'\n  fix: name one of auto, eager, inductor, lockstep, interpret"),
        (lambda: compiled(dtype="int8"), "there is no dtype 'int8'"),
        (lambda: compiled(device="cuda"), "device 'cuda': the eager backend decodes on the CPU"),
        (lambda: compiled().generate([[{"role": "user", "content": "1"}]]), "a table model has no chat template"),
        (lambda: compiled().generate([[{"role": "user"}]]), "prompt 0 is a list, not a text"),
        (lambda: compiled().generate(None), "prompts is a NoneType, not a list of texts"),
        (lambda: compiled().generate(["\ud800"]), "prompt 0 is no text: it holds half a character"),
        (lambda: compiled().generate(PROMPTS, batch=0), "batch is 0: it should be an integer of at least 1"),
        (lambda: compiled().generate(PROMPTS, batch=-1), "batch is -1"),
        (lambda: [*compiled().each(PROMPTS, skip=-1)], "skip is -1: it should be an integer of at least 0"),
        (lambda: compiled(models=["t"]), "models is a list, not models by name"),
        (lambda: compiled(models={"t": None}), "the model given as t is a NoneType"),
    ],
)
def test_what_cannot_be_asked_is_one_message(ask, message):
    with pytest.raises(PenstockError) as caught:
        ask()
    assert message in str(caught.value)


def test_a_stop_string_ends_a_row_at_the_token_that_completes_it():
    runner = compiled()
    [whole] = runner.generate(["1 2"], max_new_tokens=30)
    words = whole.text.split()
    stop = " ".join(words[6:8])
    place = whole.text.find(stop)
    [cut] = runner.generate(["1 2"], max_new_tokens=30, stop=["never", stop])
    assert cut.text == whole.text[:place] and cut.status == "stop"
    assert cut.tokens == whole.tokens[: len(cut.tokens)] and stop in runner.text.decode(cut.tokens)
    assert stop not in runner.text.decode(cut.tokens[:-1])
    spec = penstock.compile(Pipeline(models=MODELS, stages=STAGES, generate={"stop": (stop,), "max_new_tokens": 30}))
    assert spec.generate(["1 2"])[0] == cut
    assert spec.generate(["1 2"], stop=[])[0].tokens == whole.tokens
    assert "".join(spec.stream("1 2")) == cut.text
    other = compiled().generate(["1 2", "6"], max_new_tokens=30, stop=[stop])
    assert other[0].tokens == cut.tokens and len(other[0].tokens) < 30


def test_a_stream_tells_nothing_of_a_stop_string_before_it_is_one():
    class Letters:
        decode = "".join

    stops = Stops(["abc", "cd"], Letters())
    grown = [list("xxab"[:n]) for n in range(5)]
    assert list(told(stops.told(map("".join, grown)))) == ["x", "x", "ab"]  # it never became one
    assert list(told(stops.told(iter(["xa", "xab", "xabc"])))) == ["x"]
    assert list(told(stops.told(iter(["xa", "xaby"])))) == ["x", "aby"]
    assert stops.before("1cd2abc") == "1" and stops.held("xxab") == 2 and stops.held("abc") == 1


@pytest.mark.parametrize("stop, message", [([""], "stop string ''"), ("end", "stop is one text"), ([3], "stop string 3")])
def test_a_stop_string_that_is_none_is_refused(stop, message):
    with pytest.raises(PenstockError, match=message):
        compiled().generate(["1"], stop=stop)
