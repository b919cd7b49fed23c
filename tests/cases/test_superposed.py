"""Case: superposed decoding on a frontier: one cache and one forward for k hypotheses, against the card's numbers and oracles."""

import math

import pytest
import torch
from superposed import Superposed
from superposed_world import PROMPTS, SPD, V, by_hand, decode, markov, same

from penstock.backends.runtime.table import TableModel
from penstock.ir.frontier import new_frontier
from penstock.ir.ops.forward import forward
from penstock.ir.ops.frontier import mixture
from penstock.ir.ops.inject import inject
from penstock.ir.state import STATUS, new_sequence, new_view
from penstock.testing import interpreted


@pytest.mark.parametrize("stage", [SPD, SPD.model_copy(update={"table": None, "width": 4})])
@pytest.mark.parametrize("eos", [(), (5,), (2, 5)])
def test_it_is_the_cards_algorithm(stage, eos):
    for seed in (1, 2):
        model = TableModel(V, seed, 2)
        found, _ = decode([stage], model, eos=eos)
        same(found, [by_hand(stage, model, prompt, 6, eos) for prompt in PROMPTS])


@pytest.mark.parametrize("eos", [(), (5,)])
def test_lowered_it_decodes_what_its_meaning_decodes(eos):
    model = TableModel(V, 3, 2)
    for prompts in (PROMPTS, PROMPTS[1:2]):
        lowered, state = decode([SPD], model, prompts, eos=eos)
        meant, other = decode([SPD], model, prompts, eos=eos, run=interpreted)
        assert lowered == meant
        assert torch.equal(state["seq"].status, other["seq"].status)


def test_a_ragged_batch_is_each_prompt_alone():
    model = TableModel(V, 2, 2)
    batch, _ = decode([SPD], model, eos=(5,))
    same(batch, [decode([SPD], model, [prompt], eos=(5,))[0][0] for prompt in PROMPTS])


def test_one_hypothesis_without_ngrams_is_greedy():
    model = TableModel(V, 1, 2)
    found, state = decode([Superposed(model="m", width=1)], model, limit=12)
    for prompt, row in zip(PROMPTS, found, strict=True):
        text = list(prompt)
        for _ in range(12):
            text.append(int(model.from_scratch(model.embed(torch.tensor(text)))[-1].argmax()))
        assert row[0][0] == text[len(prompt) :]
    assert [STATUS[s] for s in state["seq"].status] == ["length"] * 3


def at_token(seq, view, live):
    """Logits of the root, from a mixture."""
    where = seq.length - 1
    (view,) = inject.meaning(view, seq, mixture.meaning(seq, view), where, live=live)
    return forward.meaning(view, seq, root=True, live=live)[1][:, 0]


def group(model, tokens, scores, prompts):
    """A frontier whose hypotheses are one token long."""
    seq = new_frontier(len(prompts), len(tokens), 4, key=torch.arange(len(prompts)), limit=3)
    seq.tokens[:, :, 0], seq.scores[:], seq.length[:] = torch.tensor(tokens), torch.tensor(scores).double(), 1
    return seq, new_view(model, [list(p) for p in prompts], 4)


def test_hypotheses_that_end_alike_are_an_ordinary_forward():
    model, live = TableModel(V, 1, 2), torch.ones(3, dtype=torch.bool)
    mixed = at_token(*group(model, [4, 4, 4], [-1.0, -2.5, -0.3], PROMPTS), live)
    plain = new_sequence(3, 4, key=torch.arange(3), limit=3)
    plain.tokens[:, 0], plain.length[:] = 4, 1
    view = new_view(model, list(map(list, PROMPTS)), 4)
    assert (mixed - forward.meaning(view, plain, root=True, live=live)[1][:, 0]).abs().max() < 1e-12


def test_in_a_linear_model_the_mixture_is_the_geometric_mean():
    model, live = markov(vocab=3), torch.ones(1, dtype=torch.bool)
    model.tables[0, 0], model.tables[0, 1] = torch.tensor([2.0, 0, 1]), torch.tensor([0.0, 3, 1])
    logits = at_token(*group(model, [0, 1], [math.log(0.6), math.log(0.4)], [[2]]), live)[0]
    assert logits.softmax(-1).tolist() == pytest.approx([0.3548, 0.3548, 0.2905], abs=1e-4)
