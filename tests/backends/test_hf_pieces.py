"""What tokens are in bytes: as the tokenizers themselves put them together again."""

import pytest

from penstock import resolve
from penstock.backends.runtime.digits import Digits
from penstock.backends.runtime.hf.pieces import letters, pieces
from penstock.dsl.models import parse
from penstock.ir.errors import PenstockError


@pytest.fixture(scope="module")
def text():
    return resolve.text(parse("zoo:target"))


def test_letters_are_all_bytes_once():
    assert sorted(letters().values()) == list(range(256))
    assert (letters()["Ġ"], letters()["Ċ"], letters()["a"]) == (0x20, 0x0A, 0x61)


@pytest.mark.parametrize("said", ["Gina's 48 years, é and 漢字", '{"a": [1,\t2]}\n', "\U0001f600\u2028\x00"])
def test_a_texts_tokens_are_its_bytes(text, said):
    ids = text.encode(said, special=False)
    assert b"".join(text.pieces[i] for i in ids) == said.encode()


def test_every_byte_is_a_token_and_markers_are_none(text):
    assert {bytes([byte]) for byte in range(256)} <= set(text.pieces)
    assert text.eos < text.special and len(text.pieces) == text.vocab
    assert all(text.pieces[i].startswith(b"<|") for i in text.special)


SPACES = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
FALLBACK = {"type": "Sequence", "decoders": [SPACES, {"type": "ByteFallback"}]}


def test_a_vocabulary_of_text_falls_back_to_bytes():
    vocabulary = {"<s>": 0, "\u2581the": 1, "<0xE2>": 2, "x<0xE2>": 3, "é": 5, "<tool>": 6}
    found = pieces(vocabulary, {0: "<s>", 6: "<tool>"}, frozenset({0, 4}), FALLBACK)
    assert found == [b"<s>", b" the", b"\xe2", b"x<0xE2>", b"<|4|>", "é".encode(), b"<tool>"]


def test_a_vocabulary_that_is_neither_is_refused():
    with pytest.raises(PenstockError, match="the bytes of its tokens are not known: its tokenizer decodes by WordPiece"):
        pieces({"a": 0}, {}, frozenset(), {"type": "WordPiece"})


def test_tokens_of_a_table_model_are_numbers():
    assert Digits(12).pieces[11] == b"11" and not Digits(12).special
