"""One drafter where it finds something, else another; each row is accepted by the law of the draft it got."""

import pytest
import torch

from penstock.ir.errors import PenstockError
from penstock.ir.ops import accept
from penstock.ir.ops.lookup import continuation
from penstock.library import (
    Del,
    LayerSkip,
    ModelDrafter,
    ModelVerifier,
    OrElse,
    PromptLookup,
    PromptTokens,
    Repetition,
    StochasticBeam,
    Temperature,
    TopKTree,
    ToyGrammar,
)
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages, small_world, step_of

VERIFIER = ModelVerifier(model="t")
LOOKUP = PromptLookup(length=2, longest=2)
SECONDS = {
    "chain": ModelDrafter(model="d", length=2),
    "iid": ModelDrafter(model="d", length=2, paths=2),
    "beam": StochasticBeam(model="d", width=2, length=2),
    "tree": TopKTree(model="d", branching=(2, 1)),
    "nested": OrElse(first=PromptLookup(length=1, longest=1), second=ModelDrafter(model="d", length=2)),
}
RULES = {"chain": "kseq", "iid": "kseq", "beam": "by_law", "tree": "by_law", "nested": "kseq"}
TAILS = {"bare": (), "masked": (Repetition(), ToyGrammar.over(3)), "greedy": (Temperature(value=0),)}


def stages(second: str, *tail):
    return (OrElse(first=LOOKUP, second=SECONDS[second]), VERIFIER, *tail)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("second", SECONDS)
def test_every_row_is_accepted_by_the_law_of_its_own_draft(second, tail):
    plan = elaborate(stages(second))
    assert plan.rule == RULES[second]
    certificate = certify_stages(stages(second, *TAILS[tail]), limit=3, batch=2)
    assert certificate.holds, certificate.report()


@pytest.mark.parametrize("second", ["iid", "beam", "tree"])
def test_lowered_decodes_as_meant_where_rows_differ(second):
    whole = dict(vocab=5, limit=24)
    lowered, meant = (decode_stages(stages(second), [3, 4, 5], lowered=eager, **whole) for eager in (True, False))
    assert lowered == meant


def test_the_second_drafts_only_where_the_first_finds_nothing():
    from penstock.backends.eager.lower import lower
    from penstock.backends.runtime.runner import Decoder, Request, forwards

    world = small_world(stages("chain"), vocab=5, limit=1)
    step = step_of(elaborate(stages("chain")), world)
    decoder = Decoder(step, world.models, lower(step))
    prompts = ([1, 2, 3], [1, 2, 1])  # the second row's ending stood before
    state = decoder.generate(decoder.start([Request(dict.fromkeys(world.models, p), 1, 1) for p in prompts]))
    assert [row["draft:d"] for row in forwards(state)] == [2, 0] and [row["t"] for row in forwards(state)] == [1, 1]


@pytest.mark.parametrize("wrong", ["the first row's rule for all", "the rules exchanged"])
def test_a_rule_of_another_law_is_seen(wrong):
    def of_row(which, *values):
        index = torch.zeros_like(which) if wrong.startswith("the first") else 1 - which
        return meaning(which * 0 + index, *values)

    meaning = accept.of_row.meaning
    object.__setattr__(accept.of_row, "meaning", of_row)
    try:
        assert certify_stages(stages("beam"), limit=3).against_reference > 1e-3
    finally:
        object.__setattr__(accept.of_row, "meaning", meaning)


def test_a_named_rule_must_fit_both_laws():
    assert certify_stages((stages("beam")[0], ModelVerifier(model="t", rule="match")), limit=3).holds
    with pytest.raises(PenstockError, match="drafter.or_else.0 drafts are without_replacement"):
        elaborate((stages("beam")[0], ModelVerifier(model="t", rule="kseq")))


@pytest.mark.parametrize("drafter", [PromptTokens(view="t").small(3), LayerSkip(model="t", exit=1, length=2)])
def test_what_its_verifier_must_serve_in_every_step_is_refused_by_name(drafter):
    pair, deep = (OrElse(first=LOOKUP, second=drafter), VERIFIER), {"t": 2}
    with pytest.raises(PenstockError, match=r"stages drafter.or_else.0.first and drafter.or_else.0.second"):
        step_of(elaborate(pair), small_world(pair, layers=deep))


def test_what_is_no_drafter_by_itself_is_refused_where_it_is_declared():
    for other in (VERIFIER, Del(model="t", exits=(1,), longest=2)):
        with pytest.raises(PenstockError, match="no drafter by itself|decides what the next step"):
            OrElse(first=LOOKUP, second=other)


@pytest.mark.parametrize("tail", TAILS)
def test_a_lookup_is_exact(tail):
    assert certify_stages((LOOKUP, VERIFIER, *TAILS[tail]), limit=4, batch=2).holds


def test_a_lookup_finds_what_a_search_by_hand_finds():
    text = [1, 2, 3, 4, 1, 2, 5, 3, 1, 2]
    assert continuation(text, 2, 3) == [3, 4, 1]  # the first place of 1 2
    assert continuation([*text, 5], 3, 4) == [3, 1, 2, 5]  # 1 2 5
    assert continuation([7, *text, 9], 3, 4) == []
    assert continuation([4, 4, 4], 2, 4) == [4]  # up to the end of the text
    assert continuation([4], 3, 4) == []
    for seed in range(200):
        draws = torch.Generator().manual_seed(seed)
        text = torch.randint(0, 3, (1 + seed % 13,), generator=draws).tolist()
        assert continuation(text, 3, 4) == by_words(text, 3, 4)


def by_words(text, longest, length):
    """The same by searching strings."""
    words = "".join(map(str, text))
    for n in range(min(longest, len(text) - 1), 0, -1):
        place = words.find(words[-n:])
        if place < len(text) - n:
            return text[place + n : place + n + length]
    return []
