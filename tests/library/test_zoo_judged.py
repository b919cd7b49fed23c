"""Judged solutions: every verdict is true by arithmetic, and a reward model's score is read where it was learnt."""

import re
from collections import Counter

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from penstock.backends.runtime.runner import Request
from penstock.dsl.pipeline import Pipeline
from penstock.face import compile
from penstock.library import ModelVerifier, Temperature
from penstock.library.search.astar import AStar
from penstock.library.zoo import markers, reward
from penstock.library.zoo.data import arithmetic, judged
from penstock.library.zoo.data.draw import Draw, held_out
from penstock.library.zoo.measure import verdicts

SOLUTIONS = [judged.example(Draw(0, "train", index)) for index in range(1500)]
EQUATION = re.compile(r"(\d+) ([-+*]) (\d+) = (\d+)")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return LlamaForCausalLM(LlamaConfig(vocab_size=4096, tie_word_embeddings=True, initializer_range=0.3, **shape)).eval()


def right_by_arithmetic(problem, text, style):
    """Whether a text works the steps of a problem out as they are, one after the other; it knows no way to write them."""
    equations = [(int(a), sign, int(b), int(result)) for a, sign, b, result in EQUATION.findall(text)]
    steps = [(a, operation.sign, b, result) for operation, a, b, result in problem.steps]
    found = re.findall(r"(?:So \w+ has |<\|answer\|>)(\d+)", text)
    start = re.findall(r"At the start there are (\d+)", text)
    done = style == arithmetic.AT_ONCE or len(equations) == len(steps) or not (found or "<|/think|>" in text)
    return (
        equations == steps[: len(equations)]
        and all(int(each) == steps[0][0] for each in start)
        and all(int(each) == steps[-1][3] for each in found)
        and done
    )


def test_a_verdict_is_good_exactly_where_the_arithmetic_so_far_is_right():
    for index, solution in enumerate(SOLUTIONS):
        problem = arithmetic.problem(Draw(0, "train", index))
        for end, good in enumerate(solution.good, 1):
            text = "".join(solution.pieces[:end])
            assert good == right_by_arithmetic(problem, text, solution.style), (solution, end)


def test_once_wrong_a_solution_stays_wrong_and_an_error_always_shows():
    for solution in SOLUTIONS:
        assert sorted(solution.good, reverse=True) == list(solution.good)
        assert solution.good[-1] == (solution.error == "")


def test_what_is_right_is_what_every_other_model_reads():
    for index, solution in enumerate(SOLUTIONS[:300]):
        text = arithmetic.problem(Draw(0, "train", index)).example(solution.style)
        assert solution.prompt == text.prompt_text()
        assert ("".join(solution.pieces) == text.reply_text()) == (solution.error == "")


def test_half_of_all_verdicts_are_good_and_every_error_is_common():
    good = [each for solution in SOLUTIONS for each in solution.good]
    assert 0.45 < sum(good) / len(good) < 0.55
    errors = Counter(solution.error for solution in SOLUTIONS)
    assert set(errors) == {"", *judged.ERRORS} and min(errors.values()) > 100


def test_a_copied_result_is_wrong_where_it_is_copied_only():
    copied = [each for each in SOLUTIONS if each.error == "copied result" and each.style != arithmetic.AT_ONCE]
    assert all(each.good[0] for each in copied)
    assert {len(each.good) - sum(each.good) for each in copied} == {2, 4}


def test_held_out_solutions_are_of_held_out_problems():
    for index in range(100):
        operation, a, b, _ = arithmetic.problem(Draw(0, "pairs", index)).steps[0]
        assert held_out(operation.sign, a, b)


def test_every_token_is_judged_good_up_to_the_first_that_is_not_the_right_ones(tokenizer):
    for index, solution in enumerate(SOLUTIONS[:600]):
        right = arithmetic.problem(Draw(0, "train", index)).example(solution.style).reply_text()
        told, wanted = (tokenizer(text)["input_ids"] for text in ("".join(solution.pieces), right))
        prompt, *judgements = solution.parts()
        found = [part.verdict for part in judgements for _ in tokenizer(part.text)["input_ids"]]
        assert sum((tokenizer(part.text)["input_ids"] for part in judgements), []) == told
        assert (prompt.text, prompt.verdict) == (solution.prompt, "")
        assert {part.weight for part in (prompt, *judgements)} == {0.0}
        assert found == [markers.GOOD if told[:end] == wanted[:end] else markers.BAD for end in range(1, len(told) + 1)]


def test_pieces_are_tokens_of_the_whole_and_end_where_a_search_pauses(tokenizer):
    ends = Counter()
    for solution in SOLUTIONS[:300]:
        apart = [tokenizer(text)["input_ids"] for text in (solution.prompt, *solution.pieces)]
        assert sum(apart, []) == tokenizer(solution.prompt + "".join(solution.pieces))["input_ids"]
        ends.update(ids[-1] for ids in apart[1:])
    assert [tokenizer.decode([each]) for each in reward.STEP_ENDS] == [".", ";"]
    assert set(ends) == set(reward.STEP_ENDS) | set(tokenizer.convert_tokens_to_ids(["<|/think|>", "<|/answer|>", "<|end|>"]))


def test_scores_of_partial_texts_are_those_read_off_the_whole(model, tokenizer):
    solution = next(each for each in SOLUTIONS if each.style == arithmetic.STEP_BY_STEP)
    [(_, read)] = verdicts.verdicts(model, tokenizer, [solution])
    prompt = tokenizer(solution.prompt)["input_ids"]
    texts = [tokenizer("".join(solution.pieces[:end]))["input_ids"] for end in range(1, len(solution.pieces) + 1)]
    scores = reward.Reward(model)(prompt, texts)
    torch.testing.assert_close(torch.tensor(scores), read)
    assert len(set(scores)) == len(scores) and reward.Reward(model)(prompt, []) == []
    logits = model(torch.tensor([prompt + texts[0]])).logits[0, -1].detach()
    good, bad = logits[tokenizer.convert_tokens_to_ids(["<|good|>", "<|bad|>"])].exp()
    assert scores[0] == pytest.approx(float(good / (good + bad)), rel=1e-5)


def test_a_search_asks_for_verdicts_where_steps_end(model):
    """With weights that know nothing, the search is as good as chance; what is tested is that it and the scorer fit."""
    search = AStar(at=reward.STEP_ENDS, children=2, tokens=120)
    stages = (ModelVerifier(model="t"), Temperature(value=1.0), search.control())
    compiled = compile(Pipeline(models={"t": "zoo:target"}, stages=stages))
    asked, score = [], reward.Reward(model)

    def listening(prompt, texts):
        asked.extend(texts)
        return score(prompt, texts)

    problem = arithmetic.problem(Draw(0, "pairs", 0)).example(arithmetic.STEP_BY_STEP)
    prompt = compiled.text.encode(problem.prompt_text())
    [found] = search.run(compiled.decoder, [Request(dict.fromkeys(compiled.decoder.models, prompt), 120, 7)], listening)
    assert {text[-1] for text in asked} <= {*reward.STEP_ENDS, *compiled.text.eos} and len(asked) >= 4
    assert all(0 <= node.r <= 1 for node in found.search.nodes) and found.search.budget.scored == len(asked)


def test_accuracy_and_area_of_known_scores():
    half = judged.Judged("", ("a", "b"), 1, "")
    assert half.good == [True, False]
    found = [(half, torch.tensor([0.9, 0.6])), (half, torch.tensor([0.6, 0.2]))]
    assert verdicts.accuracy(found) == 0.75
    assert verdicts.area(found) == (2 + 1 + 0.5) / 4
