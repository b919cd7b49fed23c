"""The loops that we are compared with are right: greedy, they decode what Penstock decodes; sampled, they accept as often."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import step as measured
from hand_written import Plain, Tuned
from stub import pair

VOCAB = 64


def prompts(rows: int) -> list[list[int]]:
    return torch.randint(0, VOCAB, (rows, measured.PROMPT), generator=torch.Generator().manual_seed(rows)).tolist()


def taken(draft: str, tokens: float) -> bool:
    """Whether a row takes as many tokens a step as its draft lets it expect."""
    return tokens == 1 if draft == "no draft" else 1.5 < tokens < 4.9


@pytest.mark.parametrize("draft", measured.HAND)
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("pick", [Plain, Tuned])
def test_greedy_loops_decode_what_penstock_decodes(draft, rows, pick):
    models = pair(VOCAB)
    ours = measured.Penstock(measured.lowered(draft, models, 0), prompts(rows))
    hand = measured.HandWritten(draft, models, prompts(rows), 0, pick)
    begin, steps = measured.PROMPT, 30
    for _ in range(steps):
        ours.step()
        hand.step()
    seq = ours.handles[ours.seq]
    for b, n in enumerate(seq.length.tolist()):
        assert seq.tokens[b, :n].tolist() == hand.loop.ids[b, begin : begin + n].tolist()
    assert ours.tokens() == hand.tokens() and taken(draft, ours.tokens() / rows / steps)


@pytest.mark.parametrize("draft", measured.HAND)
@pytest.mark.parametrize(("rows", "near"), [(1, 0.6), (8, 0.25)])  # three standard deviations and more
def test_sampled_loops_take_as_many_tokens(draft, rows, near):
    models, steps = pair(VOCAB), 160
    ours = measured.Penstock(measured.lowered(draft, models, 0.8), prompts(rows))
    contenders = ours, measured.HandWritten(draft, models, prompts(rows), 0.8, Plain)
    torch.manual_seed(0)
    for _ in range(steps):
        for contender in contenders:
            contender.step()
    ours, hand = (c.tokens() / steps / rows for c in contenders)
    assert taken(draft, ours) and abs(ours - hand) < near
