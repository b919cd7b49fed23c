"""The face end to end: what runs, what is promised, and one message for every mistake."""

import pytest
import torch

from penstock.backends.eager.lower import lower
from penstock.backends.interpret import Interpreter
from penstock.backends.runtime.runner import Decoder, Request, fork, read, take
from penstock.backends.runtime.table import TableModel
from penstock.dsl.param import param
from penstock.dsl.pipeline import Pipeline, View
from penstock.face import certify, compile, explain, run
from penstock.ir.errors import PenstockError
from penstock.library import (
    Ambedkar,
    Del,
    HiddenThought,
    LastToken,
    LayerSkip,
    ModelDrafter,
    ModelVerifier,
    Repetition,
    Temperature,
    TopP,
    ToyGrammar,
)
from penstock.traced import traced

MODELS = {"t": "table:7:1:2", "d": "table:7:2"}
CHAIN = (ModelDrafter(model="d", length=3), ModelVerifier(model="t"))


def pipeline(*stages, **rest):
    return Pipeline(models=MODELS, stages=(*CHAIN, *stages), **rest)


def test_run_continues_every_prompt_to_its_limit():
    results = run(pipeline(Temperature(value=0.8)), ["1 2 3", "0"], max_new_tokens=12)
    assert [len(r.tokens) for r in results] == [12, 12] and {r.status for r in results} == {"length"}
    assert all(r.stats.target_forwards <= 12 for r in results)


@pytest.mark.parametrize("tail", [(), (Temperature(value=0),), (Temperature(value=0.7), TopP(p=0.9), Repetition())])
def test_a_row_is_the_same_alone_and_in_a_batch(tail):
    prompts = ["1 2 3", "0", "5 5 5 5", "0"]
    together = [r.tokens for r in run(pipeline(*tail), prompts, max_new_tokens=20)]
    alone = [run(pipeline(*tail), [p], max_new_tokens=20)[0].tokens for p in prompts[:3]]
    assert together[:3] == alone
    if tail and tail[0].value == 0:
        assert together[1] == together[3]
    else:  # the second request for a prompt is another request
        assert together[1] != together[3]


def test_greedy_and_sample_and_match_are_the_same_with_any_drafter():
    for tail, rule in (((Temperature(value=0),), "auto"), ((Temperature(value=0.9),), "match")):
        verifier = ModelVerifier(model="t", rule=rule)
        texts = [
            run(Pipeline(models=MODELS, stages=(*drafter, verifier, *tail)), ["1 2", "6"], max_new_tokens=24)
            for drafter in ((), (CHAIN[0],), (ModelDrafter(model="d", length=2, paths=3),), (ModelDrafter(model="t", length=2),))
        ]
        assert len({tuple(tuple(r.tokens) for r in text) for text in texts}) == 1


@pytest.mark.parametrize("rows", [1, 3])
def test_generated_code_decodes_as_the_interpreter(rows):
    step = traced(pipeline(Repetition(), Temperature(value=0.8)), eos=(3,))
    models = {"t": TableModel(7, 1, 2), "draft:d": TableModel(7, 2)}
    requests = [Request({v: [r, 1 + r] for v in models}, 16) for r in range(rows)]
    slow = Decoder(step, models, lambda *handles: Interpreter().run(step.graph, handles)).decode(requests)
    fast = Decoder(step, models, lower(step)).decode(requests)
    assert slow == fast and all(d.status in ("eos", "length") for d in fast)


def test_a_fork_continues_as_its_text_would_and_child_0_keeps_its_key():
    compiled = compile(pipeline(Temperature(value=0.9)))
    decoder = compiled.decoder
    request = Request({view: [1, 2] for view in decoder.models}, 8)
    children = fork(decoder.start([request]), 3)
    texts = [d.tokens for d in read(decoder.generate(children))]
    assert texts[0] == decoder.decode([request])[0].tokens
    assert len({tuple(t) for t in texts}) == 3
    assert take(children, [1])["seq"].key.tolist() == [int(children["seq"].key[1])]


def test_explain_says_the_reference_the_guarantee_and_what_was_done():
    text = explain(pipeline(Temperature(value=0.8), TopP(p=0.9), ToyGrammar.over(7)))
    assert "reference: verifier.model >> transform.temperature >> transform.top_p >> constraint.automaton" in text
    assert "guarantee: exact (same distribution as the reference)" in text
    assert "hoist_masks" in text and "mirror" in text and "walk 4 {...}" in text
    assert "guarantee: greedy-exact" in explain(pipeline(Temperature(value=0)))


def test_certify_proves_the_stages_of_a_pipeline():
    certificate = certify(pipeline(Temperature(value=0.8), Repetition()))
    assert certificate.holds and certificate.found.columns > 0 and not certificate.not_exercised


def test_a_row_without_support_is_an_error_naming_stage_and_row():
    nothing = ToyGrammar(table=((-1,) * 7,))
    for temperature in (0, 0.8):
        with pytest.raises(PenstockError, match="acceptor.walk.0: row 0 has no support"):
            run(Pipeline(models=MODELS, stages=(ModelVerifier(model="t"), nothing, Temperature(value=temperature))), ["1"])


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_nan_logits_are_an_error(temperature):
    compiled = compile(pipeline(Temperature(value=temperature)))
    compiled.decoder.models["t"].tables[:] = torch.nan
    with pytest.raises(PenstockError, match="the logits of row 0 are NaN"):
        compiled.generate(["1"])


def test_a_prompt_beyond_the_context_is_refused():
    compiled = compile(pipeline())
    compiled.decoder.models["t"].context = 16
    with pytest.raises(PenstockError, match="prompt 1: its 9 tokens and 8 new ones exceed the 16"):
        compiled.generate(["1", "1 2 3 4 5 6 0 1 2"], max_new_tokens=8)


def test_an_empty_prompt_is_refused():
    with pytest.raises(PenstockError, match="prompt 0 is empty"):
        run(pipeline(), [""])


def test_a_prompt_that_cannot_be_is_told_by_its_own_number_before_any_is_decoded():
    with pytest.raises(PenstockError, match="prompt 3 is empty"):
        next(compile(pipeline()).each(["1", "2", "3", ""], batch=2))


def test_models_that_do_not_share_a_vocabulary_are_refused_naming_both():
    models = {"t": "table:7:1", "d": "table:5:1"}
    with pytest.raises(PenstockError, match=r"models (t and d|d and t) have (7 and 5|5 and 7) tokens"):
        run(Pipeline(models=models, stages=CHAIN), ["1"])


def test_a_prompt_that_is_no_text_of_the_model_is_refused():
    with pytest.raises(PenstockError, match="no text of a table model"):
        run(pipeline(), ["99"])


@pytest.mark.parametrize("tail", [(TopP(p=0.9),), ()])
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_nothing_to_draw_is_seen_through_later_stages_too(temperature, tail):
    nothing = ToyGrammar(table=((-1,) * 7,))
    stages = (ModelVerifier(model="t"), nothing, Temperature(value=temperature), *tail)
    with pytest.raises(PenstockError, match="no support"):
        run(Pipeline(models=MODELS, stages=stages), ["1"])


def test_a_drafter_that_answers_nan_is_an_error_not_a_law_of_its_own():
    compiled = compile(pipeline(Temperature(value=0.8)))
    compiled.decoder.models["draft:d"].tables[:] = torch.nan
    with pytest.raises(PenstockError, match="drafter.model.0: row 0 has nothing to draw from"):
        compiled.generate(["1"])


@pytest.mark.parametrize("value", [-0.01, float("nan"), [0.5, -1.0]])
def test_a_request_parameter_is_checked_as_its_field_is(value):
    heated = pipeline(Temperature(value=param("heat", default=0.8)))
    with pytest.raises(PenstockError, match=r"request parameter heat is .*: it should(.|\n)*fix: give what a spec may"):
        run(heated, ["1", "2"], params={"heat": value})


def test_a_parameter_is_certified_at_its_default():
    assert certify(pipeline(Temperature(value=param("heat", default=0.8)))).holds
    with pytest.raises(PenstockError, match="parameter heat has no default"):
        certify(pipeline(Temperature(value=param("heat"))))


def test_no_tokens_and_no_prompts_are_refused():
    with pytest.raises(PenstockError, match="max_new_tokens is 0"):
        run(pipeline(), ["1"], max_new_tokens=0)
    with pytest.raises(PenstockError, match="no prompt"):
        run(pipeline(prompts=("1",)), [])


def test_what_rows_share_is_not_called_reproducible_by_key():
    assert "reproducible: yes" in explain(pipeline())
    shared = Pipeline(models={"t": "table:7:1:4"}, stages=(Del(model="t", exits=(1, 2)), ModelVerifier(model="t")))
    assert "reproducible: not by request key alone, the rows of a batch share drafter.del.0" in explain(shared)


def test_forwards_are_counted_by_what_asks_for_them():
    def counted(stages, limit=12, **rest):
        (found,) = run(Pipeline(models=MODELS | {"f": "table:7:5"}, stages=stages, **rest), ["1 2"], max_new_tokens=limit)
        return found.stats.steps, found.stats.target_forwards, found.stats.draft_forwards

    verifier = ModelVerifier(model="t")
    assert counted((verifier,)) == (12, 12, 0)
    steps, target, draft = counted(CHAIN)
    assert (target, draft) == (steps, 3 * steps)
    swapped = {"x": View(model="f", prompt=LastToken())}
    for penalty, each in (("local", 3), ("after", 5)):  # the target; the verifier's two branches, and their probes
        steering = Ambedkar(model="f", view="x", penalty=penalty, k=2, select="sample")
        assert counted((verifier, steering), views=swapped) == (12, 12 * each, 0)
    thoughts = (HiddenThought(model="t", helper="f", marker=1),)
    (result,) = run(Pipeline(models={"t": "table:7:1:2", "f": "table:7:5"}, stages=thoughts), ["1 2"], max_new_tokens=40)
    assert result.stats.target_forwards == 40 + result.tokens[:-1].count(1) > 40  # the helper's, where a marker was emitted
    steps, target, draft = counted((LayerSkip(model="t", exit=1, length=2), verifier))
    # The prompt's first token by itself; then half of the layers token by token, and the other half at once.
    assert (target, draft) == (1 + steps * (3 + 1) / 2, 0)
