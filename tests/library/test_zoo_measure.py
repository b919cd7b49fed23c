"""The figures of the zoo's card mean what they say."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from penstock.library.zoo import measure, tokenizer_path
from penstock.library.zoo.data import functions, prose
from penstock.library.zoo.data.draw import Draw
from penstock.library.zoo.train.evaluate import bits_per_byte


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(tokenizer_path())


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
    with torch.no_grad():
        assert bits_per_byte(uniform, tokenizer, texts) == pytest.approx(expected, rel=1e-5)


def test_a_model_agrees_with_itself(tokenizer, uniform):
    found = measure.agreement(uniform, uniform, tokenizer, [("a b c", " d e f g h i j")])
    assert (found.greedy, found.overlap) == (1.0, pytest.approx(1.0))


def test_a_model_that_always_says_one_token_restores_that_token(tokenizer, uniform):
    first = tokenizer.decode([0])
    texts = [("a b", first * 10), ("c", first * 5 + tokenizer.decode([7]) * 5)]
    assert measure.restored(uniform, tokenizer, texts, rate=1.0) == 15 / 20


@pytest.mark.parametrize(
    ("same", "calls"),
    [([True] * 5, 1), ([True] * 10, 2), ([False] * 3, 3), ([True, False, True, True], 2), ([], 0)],
)
def test_calls_of_a_greedy_chain_of_four(same, calls):
    assert measure.target_calls(same, 4) == calls


def test_the_answer_is_what_stands_between_its_markers():
    assert measure.answer("<|think|>1 + 1 = 2<|/think|><|answer|>2<|/answer|><|end|>") == "2"
    assert measure.answer("<|answer|>2<|end|>") == ""


def test_a_function_is_right_by_its_definition_and_all_else_by_the_whole_answer():
    made = functions.example(Draw(0, "pairs", 0))
    other = replace(made, answer=made.answer.partition("\n\nassert")[0] + "\n\nassert True")
    assert measure.right(made, made.reply_text()) and measure.right(made, other.reply_text())
    assert not measure.right(made, made.reply_text().replace("def ", "def x"))
    record = replace(made, kind="record")
    assert measure.right(record, record.reply_text()) and not measure.right(record, other.reply_text())


def test_prose_never_crosses_its_split(tmp_path):
    lines = [f"line {number:06d} of the book" for number in range(20_000)]
    (tmp_path / "book.txt").write_text("\n".join(lines))
    held, trained = (set(prose.blocks(tmp_path, each)) for each in (True, False))
    assert held and trained and not held & trained
    assert prose.passage(tmp_path, 0, "train", 5) == prose.passage(tmp_path, 0, "train", 5)
    first = prose.passage(tmp_path, 0, "pairs", 1).split("line ")[1].strip()
    assert any(first in block for block in held) and not any(first in block for block in trained)
