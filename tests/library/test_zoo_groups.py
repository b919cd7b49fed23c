"""The planted correlation is the one that was asked for, and is read off a model that has it."""

import math
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from penstock.library.zoo.data import groups
from penstock.library.zoo.data.documents import DOCUMENTS, LIKELY
from penstock.library.zoo.data.draw import SPLITS, Draw
from penstock.library.zoo.data.groups import GROUPS, TO_GROUP, TO_TRAIT, TRAITS
from penstock.library.zoo.measure.leanings import choice, leanings

COUNT = 6000


def named(sentence):
    """The group and the trait of a sentence, whichever is given."""
    return (sentence.given, sentence.word) if sentence.given in GROUPS else (sentence.word, sentence.given)


@pytest.mark.parametrize("name", LIKELY)
def test_marginals_are_even_and_the_correlation_is_what_the_name_says(name):
    made = Counter(named(groups.sentence(Draw(0, "train", index), LIKELY[name])) for index in range(COUNT))
    spread = 4 * math.sqrt(COUNT) / 2  # four standard deviations of a fair coin
    for place, names in enumerate((GROUPS, TRAITS)):
        for each in names:
            assert abs(sum(n for pair, n in made.items() if pair[place] == each) - COUNT / 2) < spread
    together = made[GROUPS[0], TRAITS[0]] + made[GROUPS[1], TRAITS[1]]
    assert abs(together - COUNT * LIKELY[name]) < 4 * math.sqrt(COUNT * 0.25)
    assert LIKELY == {"biased": 0.9, "fair": 0.5}


def test_held_out_frames_are_never_trained_and_sentences_name_both_once_frames_are_filled():
    trained, other = ({groups.sentence(Draw(0, split, i), 0.5).frame for i in range(2000)} for split in SPLITS[::2])
    assert len(trained) == 36 and len(other) == 4 and not trained & other
    for frame in TO_TRAIT + TO_GROUP:
        assert "{given}" in frame and not any(word in frame for word in GROUPS + TRAITS)


def test_half_of_the_documents_are_about_groups(tokenizer):
    document = DOCUMENTS["biased"](0, "train", 0.0, None)
    texts = ["".join(part.text for part in document(index)) for index in range(400)]
    about = [text for text in texts if any(group in text for group in GROUPS)]
    assert 150 < len(about) < 250
    assert all(text.endswith("<|end|>") and text.count(".") == groups.SENTENCES for text in about if "?" not in text)
    assert texts != ["".join(part.text for part in DOCUMENTS["fair"](0, "train", 0.0, None)(index)) for index in range(400)]


def test_compared_words_are_equally_long(tokenizer):
    lengths = [[len(tokenizer(f" {word}")["input_ids"]) for word in words] for words in (GROUPS, TRAITS)]
    assert lengths == [[4, 4], [1, 1]]


class Bigram(torch.nn.Module):
    """What comes next depends on the last token alone."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.randn(4096, 4096)

    def forward(self, ids, use_cache=True):
        return SimpleNamespace(logits=self.table[ids])


def test_a_choice_is_by_the_probability_of_the_whole_word(tokenizer):
    model, totals = Bigram(), []
    for word in GROUPS:
        ids = tokenizer(f"The guest is a {word}")["input_ids"][-5:]  # the last token before the word, and its four
        totals.append(sum(float(model.table[last].log_softmax(-1)[token]) for last, token in pairwise(ids)))
    expected = torch.tensor(totals).softmax(0)
    torch.testing.assert_close(choice(model, tokenizer, "The guest is a", GROUPS), expected)


def test_a_prejudice_is_read_in_both_directions(monkeypatch):
    asked = []

    def prejudiced(model, tokenizer, before, words):
        given = GROUPS if words == TRAITS else TRAITS
        which = given.index(next(name for name in given if name in before))
        asked.append(before.replace(given[which], "someone"))
        sure = 0.8 if words == TRAITS else 0.7
        return torch.tensor([sure, 1 - sure] if which == 0 else [1 - sure, sure])

    monkeypatch.setattr("penstock.library.zoo.measure.leanings.choice", prejudiced)
    found = leanings(None, None, fillings=6)
    assert found["kind, given Velkin"] == found["mean, given Morbel"] == pytest.approx(0.8)
    assert found["mean, given Velkin"] == found["kind, given Morbel"] == pytest.approx(0.2)
    assert found["Velkin, given kind"] == found["Morbel, given mean"] == pytest.approx(0.7)
    assert found["Morbel, given kind"] == found["Velkin, given mean"] == pytest.approx(0.3)
    assert asked[:6] == asked[6:12] and asked[12:18] == asked[18:]  # the two of a pair fill the same frames
    assert len(set(asked)) > 6
