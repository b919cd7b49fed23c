"""The zoo's data: a function of the seed, right by its own rules, and split so that nothing is shared."""

import json
import random
from itertools import islice

import pytest

from penstock.library.zoo import markers
from penstock.library.zoo.data import arithmetic, functions, prose, puzzles, records
from penstock.library.zoo.data.draw import SPLITS, Draw, held_out
from penstock.library.zoo.data.stream import KINDS, example, stream
from penstock.library.zoo.measure import held_out as held_out_texts
from penstock.library.zoo.train import batches


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_seed_gives_the_same_examples(split):
    first = list(islice(stream(3, split), 50))
    assert first == list(islice(stream(3, split), 50))
    assert first != list(islice(stream(4, split), 50))
    assert first[20:] == list(islice(stream(3, split, start=20), 30))


@pytest.mark.parametrize("kind", KINDS)
def test_training_sees_no_held_out_pair_and_no_held_out_template(kind):
    train, pairs, templates = ([example(0, split, i, kind) for i in range(400)] for split in SPLITS)
    assert not any(held_out(*each.pair) for each in train + templates)
    assert all(held_out(*each.pair) for each in pairs)
    trained = {each.template for each in train}
    assert not trained & {each.template for each in templates}
    assert {each.template for each in pairs} <= trained


@pytest.mark.parametrize("kind", KINDS)
def test_splits_share_no_prompt(kind):
    train, pairs, templates = ({example(0, split, i, kind).prompt for i in range(1000)} for split in SPLITS)
    assert not train & pairs and not train & templates and not pairs & templates


def test_no_held_out_prompt_is_among_the_first_that_are_trained_on():
    """By what is asked alone, whatever its style; of the ways a seed has to draw them, the one of every plan and one more."""
    trained = {example(seed, "train", index).prompt for seed in (0, 1) for index in range(20_000)}
    rows = [step * batches.ROWS + row for step in range(60) for row in range(16)]  # and documents as the trainer numbers them
    trained |= {example(0, "train", row * batches.DOCUMENTS + place).prompt for row in rows for place in range(4)}
    for split in ("pairs", "templates"):
        asked = {example(seed, split, index).prompt for seed in (1, held_out_texts.SEED) for index in range(2000)}
        assert len(asked) > 3000 and not asked & trained


def test_no_held_out_passage_of_prose_overlaps_a_trained_one(tmp_path):
    draw = random.Random(0)
    for name in ("a.txt", "b.txt"):  # no word comes twice, so that a common word is a common place
        (tmp_path / name).write_text("\n".join(f"{draw.getrandbits(64):016x} {draw.getrandbits(64):016x}" for _ in range(12_000)))
    held, trained = (words_of(tmp_path, split) for split in ("pairs", "train"))
    assert len(held) > 500 and len(trained) > 5000 and not held & trained


def words_of(folder, split):
    """The whole words of many passages."""
    passages = [prose.passage(folder, 0, split, index) for index in range(400)]
    return {word for passage in passages for word in passage.split() if len(word) == 16}


def test_about_a_tenth_of_pairs_is_held_out():
    share = sum(held_out("+", a, b) for a in range(100) for b in range(100)) / 10_000
    assert 0.08 < share < 0.12


def test_later_steps_of_a_trained_problem_use_trained_pairs():
    problems = [arithmetic.problem(Draw(0, "train", index)) for index in range(500)]
    steps = [step for problem in problems for step in problem.steps]
    assert sum(held_out(operation.sign, a, b) for operation, a, b, _ in steps) / len(steps) < 0.005


def test_a_word_problem_is_worked_out_rightly_at_every_length():
    for index in range(300):
        problem = arithmetic.problem(Draw(1, "train", index))
        long, short = problem.example(arithmetic.STEP_BY_STEP), problem.example(arithmetic.BRIEFLY)
        at_once = problem.example(arithmetic.AT_ONCE)
        assert {(each.prompt, each.answer) for each in (long, short, at_once)} == {(long.prompt, long.answer)}
        assert len(long.thought) > len(short.thought) > len(at_once.thought) == 0
        for equation in short.thought.split("; "):
            left, right = equation.split(" = ")
            assert eval(left) == int(right) and equation in long.thought
        assert short.thought.endswith(f"= {short.answer}")


def test_records_satisfy_their_schema():
    types = {"string": str, "integer": int, "boolean": bool}
    for index in range(300):
        made = records.example(Draw(2, "train", index))
        if not made.answer.startswith("{"):
            continue
        kind = records.KINDS[made.prompt.split()[2]]
        record, schema = json.loads(made.answer), kind.schema()
        assert list(record) == schema["required"]
        assert all(type(record[key]) is types[rule["type"]] for key, rule in schema["properties"].items())


def test_functions_pass_their_own_assertions():
    for index in range(200):
        made = functions.example(Draw(0, "pairs", index))
        assert made.answer.count("assert") == 2
        exec(made.answer, {})


def test_squares_are_latin_and_agree_with_what_was_given():
    for index in range(100):
        made = puzzles.square_puzzle(Draw(0, "train", index))
        rows = [row.split() for row in made.answer.split(" / ")]
        assert all(sorted(line) == list("1234") for line in [*rows, *zip(*rows, strict=True)])
        given = made.prompt.split(": ")[-1].replace(" / ", " ").split()
        assert all(each in ("_", value) for each, value in zip(given, sum(rows, []), strict=True))


def test_the_tokenizer_gives_back_every_text(tokenizer):
    texts = [example(0, split, i).text() for split in SPLITS for i in range(60)] + ["naïve 12345 😀\n\ttab  two spaces"]
    assert len(tokenizer) == 4096
    for text in texts:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_markers_are_one_token_each_and_digits_stand_alone(tokenizer):
    assert [tokenizer(marker)["input_ids"] for marker in markers.SPECIAL] == [[i] for i in range(len(markers.SPECIAL))]
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.mask_token) == (markers.END, markers.PAD, markers.MASK)
    assert len(tokenizer("2026")["input_ids"]) == 4


def test_the_chat_template_writes_what_the_models_were_trained_on(tokenizer):
    made = next(each for each in stream(0, "train", "arithmetic"))
    turns = [{"role": "system", "content": made.system}, {"role": "user", "content": made.prompt}]
    assert tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) == made.prompt_text()
