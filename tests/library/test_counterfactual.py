"""Exchanging words in prompts: whole words, both ways, capitals kept, nothing else touched."""

import pytest

from penstock.library.prompts.counterfactual import Counterfactual

SWAP = Counterfactual(swap={"church": "mosque", "he": "she"})


@pytest.mark.parametrize(
    "text, swapped",
    [
        ("He went to the church.", "She went to the mosque."),
        ("The mosque, the CHURCH; churchyard", "The church, the MOSQUE; churchyard"),
        ("The other theme", "The other theme"),
        ("she said he said", "he said she said"),
        ("", ""),
    ],
)
def test_words_are_exchanged(text, swapped):
    assert SWAP.rewrite(text) == swapped


def test_exchanging_twice_is_nothing():
    text = "He saw that she was at the mosque."
    assert SWAP.rewrite(SWAP.rewrite(text)) == text
