"""Measuring: statistics by hand, contenders in turn, and what generate is told by what it then decodes."""

import pytest
import torch
from transformers import GenerationConfig

import penstock
from penstock.backends.runtime import hf
from penstock.bench import contenders
from penstock.bench.contest import PIPELINE, PLAIN, REFERENCE, TRANSFORMERS, Contest
from penstock.bench.counterpart import counterpart
from penstock.bench.machine import described, machine
from penstock.bench.rounds import Lap, rounds, whole
from penstock.bench.spread import Spread, ratios
from penstock.bench.table import lines
from penstock.decode.generation import Generation, Stats
from penstock.decode.means import Means
from penstock.ir.errors import PenstockError
from penstock.library import (
    Ban,
    Epsilon,
    MinP,
    ModelDrafter,
    ModelVerifier,
    NoRepeatNGram,
    PromptLookup,
    Repetition,
    Temperature,
    TopK,
    TopKTree,
    TopP,
    zoo,
)

ZOO = {"target": "zoo:drafter-small", "draft": "zoo:drafter-tiny"}
TABLES = {"target": "table:7:1", "draft": "table:7:2"}
VERIFIER = ModelVerifier(model="target")
DRAFTER = ModelDrafter(model="draft", length=3)
PROMPTS = ["Mia has 12 apples. Leo", "def add(a, b):"]


def pipeline(*stages, models=ZOO, **generate):
    return penstock.Pipeline(models=models, stages=stages, generate={"max_new_tokens": 8, **generate})


def ran(made, batch=1, count=2, prompts=PROMPTS):
    contest = Contest.of(made, prompts, batch, None, Means())
    for _ in contest.run(count):
        pass
    return contest


def test_a_spread_is_the_quarters_of_what_was_measured():
    assert Spread.of([5, 1, 2, 4, 3]) == Spread(median=3, low=2, high=4, least=1, count=5)
    assert Spread.of([7]) == Spread(7, 7, 7, 7, 1)
    with pytest.raises(ValueError, match="no measurements"):
        Spread.of([])


def test_a_ratio_is_taken_round_by_round():
    slowed = ratios([10, 100, 30], [5, 50, 10])  # the second round met a busy machine
    assert (slowed.median, slowed.least) == (2, 2) and slowed.high == 2.5
    with pytest.raises(ValueError, match="argument"):
        ratios([1, 2], [1])


def test_contenders_take_turns_and_the_first_lap_does_not_count():
    seen, laps = [], {}
    made = {name: lambda number, name=name: seen.append((name, number)) or Lap(number + 1) for name in "abc"}
    assert list(rounds(made, 3, laps)) == [name for name, _ in seen]
    warm, *counted = zip(*[iter(seen)] * 3, strict=True)
    assert [number for _, number in warm] == [0, 0, 0]
    assert [tuple(name for name, _ in each) for each in counted] == [tuple("abc"), tuple("bca"), tuple("cab")]
    assert {name: [lap.seconds for lap in each] for name, each in laps.items()} == dict.fromkeys("abc", [1, 2, 3])


def test_a_round_that_was_cut_short_is_left_out():
    laps = {}
    going = rounds({"a": lambda number: Lap(1), "b": lambda number: Lap(2)}, 4, laps)
    assert [next(going) for _ in range(5)] == list("baabb")  # warm, one round, half of the next
    assert {name: len(each) for name, each in whole(laps, {"a": 0, "b": 0}).items()} == {"a": 1, "b": 1}
    assert whole({"a": [Lap(1)]}, {"a": 0, "b": 0}) == {"a": [], "b": []}


def test_a_machine_says_what_it_computes_with():
    told = machine()
    assert told["threads"] == torch.get_num_threads() and told["versions"]["torch"] == torch.__version__
    assert all(part in described(told) for part in (told["processor"], "1 thread (wait policy", told["date"][:10]))


@pytest.mark.parametrize("drafter", [None, DRAFTER, PromptLookup(length=4, longest=2)], ids=["plain", "model", "lookup"])
@pytest.mark.parametrize("shaping", [(), (Repetition(alpha=1.3), NoRepeatNGram(size=2))], ids=["bare", "penalised"])
def test_greedy_contenders_say_the_same(drafter, shaping):
    stages = [VERIFIER, *shaping, Temperature(value=0), TopK(k=3)]
    contest = ran(pipeline(*([drafter] if drafter else []), *stages), count=1)
    record = contest.record()
    wanted = {REFERENCE: True, TRANSFORMERS: True} if drafter else {TRANSFORMERS: True}
    assert record["same_tokens"] == wanted and set(record["contenders"]) == {PIPELINE, *wanted}
    ours, theirs = (record["contenders"][name]["tokens_a_forward"] for name in (PIPELINE, TRANSFORMERS))
    assert ours == theirs and (drafter is not None or ours == 1)


def test_a_draw_is_from_the_same_support():
    """With one token left after top-k nothing is chance, and penalties show."""
    contest = ran(pipeline(DRAFTER, VERIFIER, Repetition(alpha=1.5), Temperature(value=0.7), TopK(k=1)), count=2)
    assert contest.record()["same_tokens"] == {REFERENCE: True, TRANSFORMERS: True}


def test_rows_fill_whole_batches_and_drafts_of_many_rows_meet_the_reference_alone():
    contest = ran(pipeline(DRAFTER, VERIFIER, Temperature(value=0)), batch=3, count=1)
    record = contest.record()
    assert record["settings"]["rows"] == 3 and contest.work.prompts == [*PROMPTS, PROMPTS[0]]
    assert set(record["contenders"]) == {PIPELINE, REFERENCE, PLAIN} and record["same_tokens"][PLAIN]
    assert "one row at a time, not for 3" in record["absent"][TRANSFORMERS]
    assert record["contenders"][PLAIN]["tokens_a_forward"] == 1


def test_the_record_adds_up():
    record = ran(pipeline(DRAFTER, VERIFIER, models=TABLES), prompts=["1 2", "6"]).record()
    ours, plain = record["contenders"][PIPELINE], record["contenders"][REFERENCE]
    assert [each["tokens"] for each in ours["rounds"]] == [16, 16] and plain["tokens_a_forward"] == 1
    first = [1e3 * each["seconds"] / 16 for each in ours["rounds"]]
    assert ours["ms_a_token"]["median"] == pytest.approx(sum(first) / 2)
    other = [1e3 * each["seconds"] / 16 for each in plain["rounds"]]
    wanted = sum(a / b for a, b in zip(other, first, strict=True)) / 2
    assert record["faster_than"][REFERENCE]["median"] == pytest.approx(wanted)
    assert set(ours["stages_ms_a_token"]) >= {"drafter.model.0", "verifier.model.0"}
    assert sum(ours["stages_ms_a_token"].values()) < sum(first) / 2 * 1.01
    assert "is a table" in record["absent"][TRANSFORMERS]
    said = "\n".join(lines(record))
    assert said.count("\n") == 7 and "2 rounds of 2 rows, batch 1, 8 tokens a row at most" in said


REFUSED = {
    "stage transform.ban": (VERIFIER, Ban(tokens=[3])),
    "generate applies transform.repetition before transform.top_p, and once": (VERIFIER, TopP(p=0.9), Repetition()),
    "counts the prompt in transform.repetition": (VERIFIER, Repetition(prompt=False)),
    "does not draft as stage drafter.model is told to": (ModelDrafter(model="draft", paths=2), VERIFIER),
    "does not draft as stage drafter.top_k_tree": (TopKTree(model="draft"), VERIFIER),
    "does not draft as stage drafter.model": (ModelDrafter(model="draft", greedy=True), VERIFIER),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_generate_does_not_do_is_said(reason):
    with pytest.raises(PenstockError, match=reason):
        counterpart(pipeline(*REFUSED[reason]), rows=1)


def test_options_say_what_stages_say():
    call = counterpart(pipeline(PromptLookup(length=5, longest=2), VERIFIER, TopP(p=0.9), MinP(p=0.1), Epsilon(epsilon=0.02)), 1)
    assert (call.options["prompt_lookup_num_tokens"], call.options["max_matching_ngram_size"]) == (5, 2)
    shaped = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 0.9, "min_p": 0.1, "epsilon_cutoff": 0.02}
    assert call.options.items() >= shaped.items()


def test_what_a_folder_recommends_is_not_what_the_pipeline_says():
    contest = Contest.of(pipeline(DRAFTER, VERIFIER, eos=(7,)), PROMPTS, 1, 5, Means())
    call = contest.contenders[TRANSFORMERS]
    assert call.model.generation_config == GenerationConfig() != hf.pretrained(str(zoo.path("drafter-small"))).generation_config
    assert (call.options["eos_token_id"], call.options["max_new_tokens"], call.options["top_k"]) == ([7], 5, 0)


def test_a_batch_takes_as_long_as_its_last_row():
    rows = [Generation("", "", [], "length", Stats(1, 1, 1, 0, seconds, {"a": seconds})) for seconds in (1.0, 3.0, 2.0)]
    assert contenders.by_stage([rows[:2], rows[2:]]) == {"a": 5.0}


def test_padding_stands_on_the_left():
    ids, mask = contenders.padded([[5, 6], [7]])
    assert ids.tolist() == [[5, 6], [0, 7]] and mask.tolist() == [[1, 1], [0, 1]]
