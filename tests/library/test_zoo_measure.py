"""The figures of the zoo's card mean what they say."""

import json
from dataclasses import replace
from types import SimpleNamespace

import jsonschema
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from penstock.library.zoo import markers
from penstock.library.zoo.data import arithmetic, functions, prose, records
from penstock.library.zoo.data.draw import Draw
from penstock.library.zoo.measure import canvas, constrained, drafts, held_out, replies
from penstock.library.zoo.measure.surprise import bits_per_byte
from penstock.library.zoo.weights import load


@pytest.fixture(scope="module")
def uniform():
    """A model that finds every token equally likely."""
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=4096, tie_word_embeddings=False, **shape)).eval()
    torch.nn.init.zeros_(model.lm_head.weight)
    return model


def test_a_uniform_model_pays_twelve_bits_a_token(tokenizer, uniform):
    texts = ["Mia has 5 apples.", "Then 2 of them break, and 3 more arrive."]
    tokens = [tokenizer(text)["input_ids"] for text in texts]
    size = sum(len(tokenizer.decode(row[1:]).encode()) for row in tokens)
    expected = 12 * sum(len(row) - 1 for row in tokens) / size
    assert bits_per_byte(uniform, tokenizer, texts) == pytest.approx(expected, rel=1e-5)


def test_a_model_agrees_with_itself(tokenizer, uniform):
    found = drafts.agreement(uniform, uniform, tokenizer, [("a b c", " d e f g h i j")])
    assert (found.greedy, found.overlap) == (1.0, pytest.approx(1.0))


def test_a_model_that_always_says_one_token_restores_that_token(tokenizer, uniform):
    first = tokenizer.decode([0])
    texts = [("a b", first * 10), ("c", first * 5 + tokenizer.decode([7]) * 5)]
    assert canvas.restored(uniform, tokenizer, texts, rate=1.0) == 15 / 20


@pytest.mark.parametrize(
    ("same", "calls"),
    [([True] * 5, 1), ([True] * 10, 2), ([False] * 3, 3), ([True, False, True, True], 2), ([], 0)],
)
def test_calls_of_a_greedy_chain_of_four(same, calls):
    assert drafts.target_calls(same, 4) == calls


def test_the_answer_is_what_stands_between_its_markers():
    assert replies.answer("<|think|>1 + 1 = 2<|/think|><|answer|>2<|/answer|><|end|>") == "2"
    assert replies.answer("<|answer|>2<|end|>") == ""


def test_a_function_is_right_by_its_definition_and_all_else_by_the_whole_answer():
    made = functions.example(Draw(0, "pairs", 0))
    other = replace(made, answer=made.answer.partition("\n\nassert")[0] + "\n\nassert True")
    assert replies.right(made, made.reply_text()) and replies.right(made, other.reply_text())
    assert not replies.right(made, made.reply_text().replace("def ", "def x"))
    record = replace(made, kind="record")
    assert replies.right(record, record.reply_text()) and not replies.right(record, other.reply_text())


def test_prose_never_crosses_its_split(tmp_path):
    lines = [f"line {number:06d} of the book" for number in range(20_000)]
    (tmp_path / "book.txt").write_text("\n".join(lines))
    held, trained = (set(prose.blocks(tmp_path, each)) for each in (True, False))
    assert held and trained and not held & trained
    assert prose.passage(tmp_path, 0, "train", 5) == prose.passage(tmp_path, 0, "train", 5)
    first = prose.passage(tmp_path, 0, "pairs", 1).split("line ")[1].strip()
    assert any(first in block for block in held) and not any(first in block for block in trained)


WRONG = ('{"start": "Rome", "end": "Oslo", "day": "Monday"}', '{"start": 1, "end": "", "day": "", "hours": 2}', "[]", "")
ODD = ('"Oslo"', "5.0", "5.5", "-1", "true", "null", "1e400", "[1]")


@pytest.mark.parametrize("kind", records.KINDS)
def test_a_record_is_accepted_exactly_where_its_schema_accepts_it(kind):
    texts = [records.example(Draw(0, "train", index)).answer for index in range(60)]
    made = [json.loads(text) for text in texts if text.startswith("{")]
    texts += [json.dumps({**each, key: "?"}).replace('"?"', odd) for each in made[:6] for key in each for odd in ODD]
    texts += [*WRONG, *(json.dumps({**each, "more": 1}) for each in made), *(text[:-1] for text in texts[:5])]
    told = [records.KINDS[kind].accepts(text) for text in texts]
    assert told == [by_schema(records.KINDS[kind].schema(), text) for text in texts]
    assert 0 < sum(told) < len(told)


def by_schema(schema, text):
    try:
        return jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))
    except (ValueError, OverflowError):
        return False


def test_who_was_to_answer_at_once_must_not_think():
    thought, at_once = (held_out.word_problems(style, 1)[0] for style in (arithmetic.BRIEFLY, arithmetic.AT_ONCE))
    assert replies.right(at_once, at_once.reply_text()) and replies.right(thought, at_once.reply_text())
    assert replies.right(thought, thought.reply_text()) and not replies.right(at_once, thought.reply_text())


def test_valid_json_need_not_be_right():
    made = held_out.records(1)[0]
    assert replies.valid(made, made.reply_text()) and replies.right(made, made.reply_text())
    other = replace(made, answer=json.dumps({**json.loads(made.answer), "city": "Nowhere"}))
    if "city" in json.loads(made.answer):
        assert replies.valid(made, other.reply_text())
    assert not replies.right(made, other.reply_text())
    assert not replies.valid(made, made.reply_text().replace("}", ""))


def test_the_same_problems_are_asked_in_every_style():
    asked = [held_out.word_problems(style, 30) for style in (arithmetic.STEP_BY_STEP, arithmetic.BRIEFLY, arithmetic.AT_ONCE)]
    assert len({tuple((each.prompt, each.answer) for each in style) for style in asked}) == 1
    assert [bool(style[0].thought) for style in asked] == [True, True, False]


class Knowing(torch.nn.Module):
    """A denoiser that knows the whole text of rows of one length, and is surer the further right."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, text):
        super().__init__()
        self.text, self.calls = text, []

    def forward(self, ids, attention_mask, use_cache):
        self.calls.append(ids[0].tolist())
        sure = torch.arange(ids.shape[1]).view(1, -1, 1) / 10 + 1
        wanted = torch.nn.functional.one_hot(torch.tensor(self.text), 4096)
        return SimpleNamespace(logits=(sure * wanted).expand(len(ids), -1, -1))


def test_a_canvas_is_revealed_surest_first_in_as_many_calls_as_were_asked_for():
    text = list(range(100, 110))
    model = Knowing(text)
    found = canvas.denoised(model, torch.tensor([text[:3], text[:3]]), mask=2, length=7, steps=3)
    assert found.tolist() == [text[3:]] * 2
    assert [call[3:].count(2) for call in model.calls] == [7, 4, 2]
    assert model.calls[1] == [*text[:3], 2, 2, 2, 2, *text[7:]]
    everything = Knowing(text)
    assert torch.equal(canvas.denoised(everything, torch.tensor([text[:3]]), 2, 7, 1)[0], found[0])
    assert len(everything.calls) == 1


def test_denoised_replies_are_matched_up_to_their_end(tokenizer):
    made = held_out.word_problems(arithmetic.AT_ONCE, 1)[0]
    rest = markers.END + made.prompt_text()  # what fills the canvas after the reply
    text = tokenizer(made.text().removesuffix(markers.END) + rest)["input_ids"]
    length = len(text) - len(tokenizer(made.prompt_text())["input_ids"])
    assert canvas.denoised_match(Knowing(text), tokenizer, [made], length, 4) == 1.0
    wrong = replace(made, answer=made.answer + "1")
    assert canvas.denoised_match(Knowing(text), tokenizer, [wrong], length, 4) == 0.0


def test_a_grammar_holds_whatever_the_model_wants(tokenizer, uniform):
    asked = held_out.records(3)
    for made, reply in zip(asked, constrained.replies(uniform, tokenizer, asked), strict=True):
        first = next(iter(json.loads(made.answer)))
        assert reply.startswith('<|answer|>{"' + first + '": "')
    free = replies.replies(uniform, tokenizer, asked)
    assert not any(replies.valid(made, reply) for made, reply in zip(asked, free, strict=True))


def test_held_to_the_schema_a_model_is_right_as_often_as_by_itself(tokenizer):
    model, asked = load("drafter-small"), held_out.records(6)
    alone, held = replies.replies(model, tokenizer, asked), constrained.replies(model, tokenizer, asked)
    assert replies.share(replies.valid, asked, held) == 1 >= replies.share(replies.valid, asked, alone)
    assert replies.share(replies.right, asked, held) >= replies.share(replies.right, asked, alone)
