"""Penalties, biases, bans and lengths: along random texts against transformers' processors and plain definitions."""

from collections import Counter

import pytest
import torch
from site_logits import SITES, V, one_token, random
from transformers import (
    ExponentialDecayLengthPenalty,
    ForcedBOSTokenLogitsProcessor,
    ForcedEOSTokenLogitsProcessor,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

from penstock.ir.errors import PenstockError
from penstock.library import (
    Ban,
    Bias,
    Force,
    Frequency,
    LengthDecay,
    MaxLength,
    MinLength,
    ModelDrafter,
    ModelVerifier,
    NoRepeatNGram,
    Presence,
    Repetition,
    SuppressAtBegin,
    Temperature,
    TopKTree,
)
from penstock.testing import certify_stages

FEW = 5
"""Texts are of so many tokens, so that they repeat themselves."""
PROMPTS = ([3], [0, 1, 2, 0, 1], [4, 4, 4, 1])
NEW = [*torch.randint(0, FEW, (2, 12), generator=torch.Generator().manual_seed(0)).tolist(), [i % FEW for i in range(12)]]
LENGTHS = (0, 1, 2, 5, 11, 12)
BANNED = ((7,), (0,), (1, 2), (0, 1, 3), (2, 4, 4, 90))
BIASED = tuple(zip(BANNED, (2.5, -1.0, 9.0, -4.0, 0.5), strict=True))

def listed(sequences):
    return [list(sequence) for sequence in sequences]


AS_TRANSFORMERS = {
    "repetition": (Repetition(alpha=1.3), lambda n: RepetitionPenaltyLogitsProcessor(1.3)),
    "repetition_below_one": (Repetition(alpha=0.5), lambda n: RepetitionPenaltyLogitsProcessor(0.5)),
    "repetition_generated": (Repetition(prompt=False), lambda n: RepetitionPenaltyLogitsProcessor(1.2, n)),
    "min_length": (MinLength(length=3, eos=(5, 90)), lambda n: MinNewTokensLengthLogitsProcessor(n, 3, [5, 90])),
    "min_length_whole": (MinLength(length=6, eos=(4,), prompt=True), lambda n: MinLengthLogitsProcessor(6, 4)),
    "length_decay": (
        LengthDecay(after=2, factor=1.3, eos=(90, 4)),
        lambda n: ExponentialDecayLengthPenalty((2, 1.3), [90, 4], n),
    ),
    "suppress": (Ban(tokens=(4, 96)), lambda n: SuppressTokensLogitsProcessor([4, 96])),
    "suppress_at_begin": (SuppressAtBegin(tokens=(4, 50)), lambda n: SuppressTokensAtBeginLogitsProcessor([4, 50], n)),
    "ban": (Ban(sequences=BANNED), lambda n: NoBadWordsLogitsProcessor(listed(BANNED))),
    "ban_apart": (Ban(tokens=(7, 0), sequences=BANNED[2:]), lambda n: NoBadWordsLogitsProcessor(listed(BANNED))),
    "bias": (Bias(sequences=BIASED), lambda n: SequenceBiasLogitsProcessor(dict(BIASED))),
    "bias_apart": (
        Bias(tokens=((7, 2.5), (0, -1.0)), sequences=BIASED[2:]),
        lambda n: SequenceBiasLogitsProcessor(dict(BIASED)),
    ),
    **{f"no_repeat_{n}": (NoRepeatNGram(size=n), lambda _, n=n: NoRepeatNGramLogitsProcessor(n)) for n in (1, 2, 3, 5)},
}


class Said:
    """The text of one row, as the text oracle gives it to stages."""

    def __init__(self, prompt):
        self.prompt = prompt


def after(stage, prompt, new, logits):
    """Logits of one site, after a prompt and some generated tokens."""
    if hasattr(stage, "compose_text"):
        return stage.compose_text(logits, Said(prompt), new)
    state = torch.as_tensor(stage.start(prompt, V))
    for token in new:
        state = stage.step(state, torch.tensor(token), None)
    return stage.read(state, logits)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", AS_TRANSFORMERS)
def test_along_a_text_it_is_what_transformers_makes_of_it(name, site):
    stage, processor = AS_TRANSFORMERS[name]
    changed = False
    for prompt, new, logits in zip(PROMPTS, NEW, SITES[site], strict=True):
        for length in LENGTHS:
            text = torch.tensor([[*prompt, *new[:length]]])
            wanted = processor(len(prompt))(text, logits[None].float())[0].to(logits.dtype)  # generate, too, is in float32
            found = after(stage, prompt, new[:length], logits)
            assert torch.equal(found, wanted) and found.dtype == logits.dtype
            changed |= not torch.equal(found, logits)
    assert changed or site in ("equal", "one_token")


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("alpha", [0.5, -1.0])
def test_presence_and_frequency_are_openais_formula(alpha, prompt, site):
    for told, new, logits in zip(PROMPTS, NEW, SITES[site].double(), strict=True):
        said = Counter([*(told if prompt else []), *new])
        once = torch.tensor([alpha * (token in said) for token in range(V)]).double()
        each = torch.tensor([alpha * said[token] for token in range(V)]).double()
        assert torch.equal(after(Presence(alpha=alpha, prompt=prompt), told, new, logits), logits - once)
        assert torch.equal(after(Frequency(alpha=alpha, prompt=prompt), told, new, logits), logits - each)
        assert max(said.values()) > 1


def test_counts_are_integers_however_long_the_text():
    stage = Frequency(alpha=1.0, prompt=True)
    state = stage.step(stage.start([1] * 70_000, 3), torch.tensor(1), None)
    assert (state.dtype, state.tolist()) == (torch.int32, [0, 70_001, 0])
    few = stage.start([1] * 257, 3)
    assert stage.read(few, torch.tensor([0.0, 256.0, 0.0]).bfloat16()).tolist() == [0, -1, 0]  # in bfloat16 257 is 256


@pytest.mark.parametrize(
    ("stage", "processor"),
    [
        (Force(token=9), lambda n: ForcedBOSTokenLogitsProcessor(9)),
        (Force(token=9, at=5), lambda n: ForcedEOSTokenLogitsProcessor(n + 6, 9)),
        (Force(token=9, at=6, prompt=True), lambda n: ForcedEOSTokenLogitsProcessor(7, 9)),
    ],
    ids=["begin", "end", "end_whole"],
)
def test_a_forced_token_is_the_only_one_and_keeps_its_logit(stage, processor):
    """Transformers make it 0, which is the same to whoever draws."""
    prompts = PROMPTS[:1] if stage.at == 0 else PROMPTS  # theirs begins a text of one token only
    for prompt, new in zip(prompts, NEW, strict=False):
        for length in LENGTHS:
            text = torch.tensor([[*prompt, *new[:length]]])
            wanted, found = processor(len(prompt))(text, random()[:1])[0], after(stage, prompt, new[:length], random()[0])
            assert torch.equal(found.softmax(-1), wanted.softmax(-1))
            assert found[9] == random()[0, 9]


def test_only_the_generated_text_may_be_kept_from_repeating():
    stage = NoRepeatNGram(size=2, prompt=False)
    assert after(stage, [0, 1, 0], [], random()[0]).isfinite().all()
    found = after(stage, [0, 1, 0], [1, 0, 3, 1], random()[0])
    assert found.isneginf().nonzero().flatten().tolist() == [0]


def test_by_default_penalties_of_a_chat_api_ignore_the_prompt():
    for stage in (Presence(), Frequency()):
        assert torch.equal(after(stage, [3, 3], [], random()[0]), random()[0])


def test_biases_of_one_token_add_up():
    stage = Bias(tokens=((4, 1.0),), sequences=(((1, 4), 2.0), ((3, 1, 4), 0.5)))
    found = [after(stage, prompt, [], random()[0].double()) - random()[0].double() for prompt in ([2], [1], [3, 1])]
    assert [float(row[4]) for row in found] == pytest.approx([1.0, 3.0, 3.5])
    assert all(int(row.count_nonzero()) == 1 for row in found)


def test_a_banned_sequence_may_begin_in_the_prompt_and_overlap_itself():
    stage = Ban(sequences=((1, 1, 1), (2, 1, 5), (0, 0, 6)))
    cases = [([1], [1], [1]), ([1, 1], [], [1]), ([2], [1], [5]), ([1], [2], []), ([], [1], []), ([0], [], []), ([], [], [])]
    for prompt, new, banned in cases:
        assert after(stage, prompt, new, random()[0]).isneginf().nonzero().flatten().tolist() == banned


def test_masks_that_leave_nothing_leave_minus_infinity_and_no_other_token():
    assert after(Ban(tokens=(4,)), [3], [], one_token()[0]).isneginf().all()
    assert after(Force(token=5), [3], [], one_token()[0]).isneginf().all()


def test_growth_of_a_very_long_text_is_a_number():
    found = LengthDecay(after=2, factor=2.0, eos=(4,)).read(torch.tensor(90_000), random()[0])
    assert found.isfinite().all() and found[4] > found[5:].max()


@pytest.mark.parametrize("make", [Ban, Bias])
def test_a_ban_or_bias_of_nothing_is_refused(make):
    with pytest.raises(PenstockError, match="name a token in tokens, or a sequence in sequences"):
        make()
    with pytest.raises(PenstockError, match="sequences.0"):
        make(sequences=((),) if make is Ban else (((), 1.0),))


TREE = TopKTree(model="d", branching=(2, 1))
CHAINS = ModelDrafter(model="d", length=2, paths=2)
CERTIFIED = [
    Repetition(alpha=2.5),
    Repetition(alpha=2.5, prompt=False),
    Presence(alpha=1.5),
    Presence(alpha=-2.0, prompt=True),
    Frequency(alpha=1.0),
    Frequency(alpha=-1.0, prompt=True),
    NoRepeatNGram(size=2),
    NoRepeatNGram(size=1, prompt=False),
    Bias(tokens=((1, 0.7),), sequences=(((0, 1), -2.0), ((1, 0, 0), 3.0))),
    Ban(sequences=((1, 1), (0, 1, 0))),
    Ban(tokens=(0,)),
    MinLength(length=2, eos=(2,)),
    MinLength(length=2, eos=(2,), prompt=True),
    LengthDecay(after=1, factor=3.0, eos=(2,)),
    LengthDecay(after=0, factor=0.3, eos=(2, 0), prompt=True),
    SuppressAtBegin(tokens=(1, 2)),
    Force(token=1, at=1),
    MaxLength(length=2),
    MaxLength(length=3, prompt=True),
]


@pytest.mark.parametrize("drafter", [CHAINS, TREE], ids=["iid", "tree"])
@pytest.mark.parametrize("stage", CERTIFIED, ids=str)
def test_certified_at_every_site_of_a_draft_under_sampling(stage, drafter):
    certificate = certify_stages([drafter, ModelVerifier(model="t"), Temperature(value=0.8), stage], batch=2, eos=(2,))
    assert certificate.holds, certificate.report()


KINDS = (Repetition, Presence, Frequency, NoRepeatNGram, Bias, Ban, MinLength, LengthDecay, Force, MaxLength)


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.kind)
def test_certified_over_a_toy_vocabulary(cls):
    """What a spec of a large vocabulary becomes."""
    said = {Bias: dict(sequences=(((50, 61, 7, 8), 2.0),)), Ban: dict(tokens=(40,), sequences=((50, 61),))}
    asked = {MinLength: dict(length=20, eos=(50,)), Force: dict(token=50, at=8), MaxLength: dict(length=30)}
    asked |= {LengthDecay: dict(after=100, factor=1.5, eos=(9,))}
    stage = cls(**(said | asked).get(cls, {})).small(3)
    certificate = certify_stages([CHAINS, ModelVerifier(model="t"), stage], batch=2, eos=(2,), limit=4)
    assert certificate.holds, certificate.report()
