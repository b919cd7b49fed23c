"""What people get wrong, each told in one message with its place and the way out; nothing is taken for something else."""

import pytest
import torch

import penstock
from penstock.dsl.function import stage
from penstock.dsl.param import param
from penstock.dsl.pipeline import Pipeline, View
from penstock.ir.errors import PenstockError
from penstock.library import (
    Ambedkar,
    HiddenThought,
    LayerSkip,
    ModelDrafter,
    ModelVerifier,
    PromptLookup,
    SwitchedVerifier,
    Temperature,
    ToyGrammar,
)

MODELS = {"t": "table:3:1", "d": "table:3:2"}
VERIFIER = ModelVerifier(model="t")
CHAIN = (ModelDrafter(model="d", length=2), VERIFIER)


def pipeline(*stages, models=MODELS, **rest):
    return Pipeline(models=models, stages=stages, **rest)


@stage("tests.branching")
def branching(logits):
    """Looks at a value."""
    return logits * 2 if logits[0] > 0 else logits


@stage("tests.raising")
def raising(logits):
    """Is broken."""
    raise ValueError("mine")


@stage("tests.narrower")
def narrower(logits):
    """Forgets a token."""
    return logits[..., :2]


@stage("tests.nothing")
def nothing(logits):
    """Forgets to return."""


@stage("tests.assigning")
def assigning(logits, *, at: float = -5.0):
    """Writes into what it is given, and makes a tensor of a request's value."""
    logits = logits.clone()
    logits[0] = torch.as_tensor(at)
    return logits


SWAPPED = {"s": View(model="d")}
REFUSED = {
    "a view of another model": (
        lambda: pipeline(ModelVerifier(model="t", view="s"), views=SWAPPED),
        r"stage verifier.model reads the view s as the model t, and the view s is declared of d",
    ),
    "another model's own view": (
        lambda: pipeline(ModelVerifier(model="t", view="d")),
        r"reads the view d as the model t, and d is that model's own view",
    ),
    "a verifier's branch": (
        lambda: pipeline(VERIFIER, Ambedkar(model="d", view="s", fair="t"), views=SWAPPED),
        r"stage steer.ambedkar reads the view t as the model d",
    ),
    "a helper's view": (
        lambda: pipeline(HiddenThought(model="t", helper="d", marker=1, helper_view="t")),
        r"stage verifier.hcot reads the view t as the model d",
    ),
    "a branch on a tensor": (lambda: pipeline(*CHAIN, branching()), r"tests.branching.0, .*cannot be run at one site: vmap"),
    "an author's own error": (lambda: pipeline(*CHAIN, raising()), r"test_mistakes.py:\d+: transform\(f32\[b,1,v\]\).*: mine"),
    "another width": (lambda: pipeline(*CHAIN, narrower()), r"tests.narrower.0 makes f32\[b,1,2\] of logits f32\[b,1,v\]"),
    "no result": (lambda: pipeline(*CHAIN, nothing()), r"tests.nothing.0 makes NoneType of logits"),
    "a register nobody has": (
        lambda: pipeline(SwitchedVerifier(models=("t", "d"), by="foo")),
        r"stage verifier.switched.0 reads the register foo, which no stage of this pipeline has\n.*there are seq, t, d",
    ),
    "a view nobody has": (
        lambda: pipeline(PromptLookup(view="d"), VERIFIER),
        r"stage drafter.prompt_lookup.0 reads the view d, which no stage of this pipeline has",
    ),
    "a helper of another vocabulary": (
        lambda: pipeline(HiddenThought(model="t", helper="x", marker=1), models=MODELS | {"x": "zoo:target"}),
        r"models t and x have 3 and 4096 tokens",
    ),
    "no early exit": (lambda: pipeline(LayerSkip(model="t", exit=1), VERIFIER), r"layer 1 of 1 .*\n.*a model of several layers"),
    "only a drafter": (lambda: pipeline(CHAIN[0]), "a pipeline needs a verifier"),
}


@pytest.mark.parametrize("command", [penstock.check, penstock.certify, penstock.compile, penstock.explain, penstock.promise])
@pytest.mark.parametrize("case", REFUSED)
def test_what_means_nothing_is_refused_by_every_command(case, command):
    make, message = REFUSED[case]
    with pytest.raises(PenstockError, match=message):
        command(make())


@pytest.mark.parametrize(
    "lines, place",
    [
        ("  - drafter.model: {model: d}\n", "5:3"),
        ("  - drafter.layerskip: {model: t, exit: 1}\n  - verifier.model: {model: t}\n", "5:5"),
        ("  - drafter.prompt_lookup: {view: d}\n  - verifier.model: {model: t}\n", "5:5"),
        ("  - verifier.model: {model: t}\n  - tests.narrower:\n", "6:5"),
        ("  - verifier.model: {model: t}\n  - steer.ambedkar: {model: d, view: s, fair: t}\n", "6:5"),
    ],
)
def test_the_place_in_the_spec_is_told(lines, place):
    head = 'penstock: 1\nmodels: {t: "table:3:1", d: "table:3:2"}\nviews: {s: {model: d}}\npipeline:\n'
    with pytest.raises(PenstockError) as caught:
        penstock.check(penstock.load(head + lines))
    assert caught.value.where.startswith(f"<text>:{place}")


def test_models_that_do_not_fit_are_told_where_they_are_declared():
    spec = 'penstock: 1\nmodels: {t: "table:3:1", d: "table:4:2"}\n'
    spec += "pipeline: [drafter.model: {model: d}, verifier.model: {model: t}]\n"
    for name in ("table:4:2", "zoo:nope"):
        with pytest.raises(PenstockError, match="have 4 and 3 tokens|have 3 and 4 tokens|no model 'nope'") as caught:
            penstock.certify(penstock.load(spec.replace("table:4:2", name)))
        assert caught.value.where.startswith("<text>:2:9")


def test_plain_torch_that_a_trace_cannot_follow_still_runs():
    heated = pipeline(*CHAIN, assigning(at=param("at", default=-50.0)))
    hot, cold = (penstock.run(heated, ["1 2"], max_new_tokens=30, params={"at": at})[0].tokens for at in (50.0, -50.0))
    assert set(hot) == {0} and 0 not in cold


@pytest.mark.parametrize("value", [1e-308, 1e-50, 1e-38])
def test_the_tiniest_temperatures_are_greedy(value):
    asked = pipeline(*CHAIN, Temperature(value=param("t", default=1.0)))
    results = [penstock.run(pipeline(*CHAIN, Temperature(value=v)), ["1"], max_new_tokens=9)[0].tokens for v in (value, 0)]
    results.append(penstock.run(asked, ["1"], max_new_tokens=9, params={"t": value})[0].tokens)
    assert results[0] == results[1] == results[2]
    assert penstock.certify(pipeline(*CHAIN, Temperature(value=value))).holds


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda p: penstock.run(p, "Once"), r"one text, not a list of them\n.*\[prompt\]"),
        (lambda p: penstock.run(p, ["1", 3]), "prompt 1 is a int, not a text"),
        (lambda p: penstock.run(p, ["1"], seed="x"), "seed is 'x'"),
        (lambda p: penstock.run(p, ["1"], seed=-1), "seed is -1: it should be greater than or equal to 0"),
        (lambda p: penstock.run(p, ["1"], seed=2**64), f"seed is {2**64}"),
        (lambda p: penstock.run(p, ["1"], max_new_tokens=1.5), "max_new_tokens is 1.5"),
        (lambda p: penstock.run(p, ["1"], max_new_tokens=0), "max_new_tokens is 0"),
        (lambda p: penstock.run(p, ["1"], params=["a"]), "params is a list"),
        (lambda p: penstock.run("x.yaml", ["1"]), r"a str is no pipeline\n.*penstock.load"),
        (lambda p: penstock.certify(VERIFIER), "a ModelVerifier is no pipeline"),
    ],
)
def test_a_call_that_is_wrong_is_one_message(call, message):
    with pytest.raises(PenstockError, match=message):
        call(pipeline(*CHAIN))


def test_no_prompts_have_no_results():
    assert penstock.compile(pipeline(*CHAIN)).generate([]) == []


def test_support_is_missed_in_proofs_by_stage_and_place(monkeypatch):
    monkeypatch.setattr(ToyGrammar, "small", lambda self, v: self)
    with pytest.raises(PenstockError, match="acceptor.walk.0: row 0 has no support"):
        penstock.certify(pipeline(VERIFIER, ToyGrammar(table=((-1, -1, -1),))))


@stage("tests.spoiling")
def spoiling(logits, *, by: float = 0.0):
    """Adds what is no number to one logit."""
    return logits + torch.tensor([by, 0.0, 0.0])


@pytest.mark.parametrize("by, message", [("nan", "NaN"), ("inf", "infinite")])
def test_logits_that_are_no_numbers_are_told_apart(by, message):
    spoiled = spoiling(by=0.0).model_copy(update={"by": float(by)})  # a spec could not say it
    with pytest.raises(PenstockError, match=f"the logits of row 0 are {message}"):
        penstock.run(pipeline(VERIFIER, spoiled), ["1"])


@pytest.mark.parametrize("value", [0, 1e-308])
def test_a_mask_after_the_coldest_temperature_is_taken_before_it(value):
    for only in range(3):  # whichever the likeliest is, the grammar allows one token alone
        table = (tuple(0 if token == only else -1 for token in range(3)),)
        stages = (*CHAIN, Temperature(value=value), ToyGrammar(table=table))
        assert penstock.run(pipeline(*stages), ["1"], max_new_tokens=3)[0].tokens == [only] * 3
        assert "greedy-exact" in penstock.promise(pipeline(*stages))
