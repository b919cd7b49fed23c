"""FreeDave with its known mistakes planted: every one is seen in tokens, in their order, or in forwards."""

from typing import Any

import pytest
import torch
from canvases import BLANK, MASK, N, V, fill, infill, reordering, static, step_of

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.runner import Decoder
from penstock.backends.runtime.table_denoiser import TableDenoiser
from penstock.dsl.stage import Stage
from penstock.ir.ops import canvas as ops
from penstock.ir.ops.rows import at
from penstock.library.unmaskers.freedave import FreeDave
from penstock.library.unmaskers.threshold import Threshold

RIGHT = {op: op.meaning for op in (ops.likeliest, at, ops.chain_verify, ops.worth_a_forward, ops.rank_positions)}


@pytest.fixture
def plant():
    """``plant(op, wrong)``: the op means something else until the test is over."""
    yield lambda op, wrong: object.__setattr__(op, "meaning", wrong)
    for op, meaning in RIGHT.items():
        object.__setattr__(op, "meaning", meaning)


def deviations(stages: tuple[Stage, ...] = (FreeDave(drafts=4),), **how: Any) -> tuple[int, int]:
    """Of 15 models, how many decode other tokens or another order; and forwards too many, summed."""
    wrong = 0
    for seed in range(15):
        model = TableDenoiser(V, seed, N, pair=0.5)
        (found,) = fill(model, [infill(BLANK)], *stages, step="fresh")
        wrong += (found.tokens, found.when) != static(model, BLANK, **how)[:2]
    independent = TableDenoiser(V, 3, N, pair=0.0)
    return wrong, fill(independent, [infill(BLANK)], *stages, step="fresh")[0].steps - 4


def test_planted_verifying_tokens_but_not_positions(plant):
    seen = []
    plant(ops.likeliest, lambda logits: seen.append(RIGHT[ops.likeliest](logits)) or seen[-1])

    def position_blind(drafts, targets, valid):
        said, new = seen[-1][0][:, :-1], drafts[:, 1:] != drafts[:, :-1]
        return ((said == drafts[:, 1:]) | ~new).all(-1).logical_and(valid[:, 1:]).long().cumprod(1).sum(1)

    plant(ops.chain_verify, position_blind)
    assert deviations()[0] > 0
    (found,) = fill(reordering(), [infill([MASK] * 3)], FreeDave(drafts=2), step="fresh")
    assert found.when == [0, 1, 2]  # not [0, 2, 1]


def test_planted_accepting_a_draft_that_is_part_of_the_target(plant):
    def subset(drafts, targets, valid):
        agree = ((drafts[:, 1:] == targets[:, :-1]) | (drafts[:, 1:] == MASK)).all(-1)
        return (agree & valid[:, 1:]).long().cumprod(1).sum(1)

    plant(ops.chain_verify, subset)
    assert deviations((FreeDave(unmasker=Threshold(threshold=0.6), drafts=4),), threshold=0.6)[0] > 0


def test_planted_going_on_from_the_last_branch_instead_of_the_accepted_one(plant):
    last = lambda values, index: RIGHT[at](values, torch.full_like(index, 3))  # noqa: E731
    plant(at, last)
    graph = step_of(FreeDave(drafts=4))
    decoded = []
    for seed in range(5):  # step by step: a branch that was not worth a forward may never fill the canvas
        decoder = Decoder(graph, {"m": TableDenoiser(V, seed, N, pair=0.5)}, lower(graph))
        handles = list(decoder.start([infill(BLANK)]).values())
        for _ in range(N):
            handles = list(decoder.step(*handles))
        decoded.append(handles[0].tokens[0].tolist())
    assert decoded != [static(TableDenoiser(V, seed, N, pair=0.5), BLANK)[0] for seed in range(5)]


def test_planted_discarding_or_mixing_up_the_carried_predictions_costs_forwards(plant):
    def forwards() -> int:
        return sum(
            fill(TableDenoiser(V, seed, N, pair=0.5), [infill(BLANK)], FreeDave(drafts=4), step="fresh")[0].steps
            for seed in range(10)
        )

    right = forwards()

    for wrong in (0, 3):  # predictions of the first branch, then of the last

        def mixed_up(values, index, wrong=wrong):
            return RIGHT[at](values, index * 0 + wrong if isinstance(values, tuple) else index)

        plant(at, mixed_up)
        assert forwards() > right
    plant(ops.worth_a_forward, lambda open, ready: RIGHT[ops.worth_a_forward](open, ready & False))
    assert forwards() == 10 * N


def test_planted_accepting_one_branch_too_many_or_too_few(plant):
    def shifted(by):
        def verify(drafts, targets, valid):
            reached = RIGHT[ops.chain_verify](drafts, targets, valid) + by
            return torch.minimum(reached.clamp(min=0), valid.sum(1).clamp(min=1) - 1)

        return verify

    plant(ops.chain_verify, shifted(1))
    assert deviations()[0] > 0
    plant(ops.chain_verify, shifted(-1))
    wrong, too_many = deviations()
    assert wrong == 0 and too_many > 0  # the guaranteed step of each chain is lost: the same tokens, more forwards


def test_planted_ties_that_do_not_nest(plant):
    def by_shape(conf, open):
        best = torch.where(open, conf, -torch.inf)
        if conf.dim() == 2:
            return best.argsort(dim=-1, descending=True, stable=True)
        return best.flip(-1).argsort(dim=-1, descending=True, stable=True).neg() + conf.shape[-1] - 1

    plant(ops.rank_positions, by_shape)
    tied = TableDenoiser(V, 0, N, pair=0.0)
    tied.bias.zero_()
    (found,) = fill(tied, [infill(BLANK)], FreeDave(drafts=4), step="fresh")
    assert found.steps == N  # not 4: no draft is ever what the target becomes
