"""What eager runs gives the tokens that the graph's meaning gives, node by node: every rule, shape, end and mixture of rows."""

from typing import Any

import pytest

from penstock.backends.eager.lower import lower
from penstock.backends.interpret import Interpreter
from penstock.backends.runtime.runner import Decoded, Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.ir.standin import StandIn
from penstock.library import (
    ModelDrafter,
    ModelVerifier,
    Repetition,
    StochasticBeam,
    Temperature,
    TopK,
    TopKTree,
    TopP,
    ToyGrammar,
)
from penstock.passes.build import build
from penstock.passes.order import elaborate

VOCAB = 7
TARGET = ModelVerifier(model="t")
MODELS = {"t": TableModel(VOCAB, 1, 2), "draft:d": TableModel(VOCAB, 1, 1, sharpness=1.2)}
PROMPTS = [[1], [2, 0, 1], [3, 3], [4, 5, 6, 1], [0, 6], [5, 1, 1], [6], [2, 2, 4, 0, 1]]
DRAFTS = {
    "none": (),
    "chain": (ModelDrafter(model="d", length=3),),
    "paths": (ModelDrafter(model="d", length=2, paths=3),),
    "ranked": (TopKTree(model="d", branching=(3, 1, 2)),),
    "beam": (StochasticBeam(model="d", width=3, length=2),),
}
SHAPES = {
    "plain": (),
    "greedy": (Temperature(value=0),),
    "warm": (Temperature(value=0.8),),
    "penalty": (Repetition(alpha=1.4), Temperature(value=0.7)),
    "grammar": (ToyGrammar.over(VOCAB), Temperature(value=0.9)),
    "narrow": (Temperature(value=1.3), TopK(k=3), TopP(p=0.8)),
    "greedy grammar": (ToyGrammar.over(VOCAB), Repetition(alpha=1.2), Temperature(value=0)),
}


def both(
    stages: tuple[Any, ...], batch: int, *, eos: tuple[int, ...] = (), limits: tuple[int, ...] = (16,)
) -> tuple[list[Decoded], list[Decoded]]:
    """``(eager, meaning)``: the same requests decoded twice."""
    models = {v: m for v, m in MODELS.items() if v == "t" or any(s.role == "drafter" for s in stages)}
    facts = {v: StandIn(m.name, m.vocab, m.width, m.layers, m.capabilities) for v, m in models.items()}
    graph = build(elaborate(stages), facts, eos=eos)
    requests = [Request(dict.fromkeys(models, PROMPTS[b]), limits[b % len(limits)], key=b) for b in range(batch)]
    steps = lower(graph), lambda *handles: Interpreter().run(graph.graph, handles)
    eager, meaning = (Decoder(graph, models, step).decode(requests) for step in steps)
    return eager, meaning


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("batch", [1, 3])
def test_tokens_are_those_of_the_meaning(draft, shape, batch):
    eager, meaning = both((*DRAFTS[draft], TARGET, *SHAPES[shape]), batch)
    assert eager == meaning


@pytest.mark.parametrize("shape", ["greedy", "warm"])
@pytest.mark.parametrize("draft", ["none", "chain", "paths", "ranked"])
def test_rows_that_end_apart_at_their_limit_or_at_the_end_of_text(draft, shape):
    eager, meaning = both((*DRAFTS[draft], TARGET, *SHAPES[shape]), 8, eos=(2, 5), limits=(24, 1, 9))
    assert eager == meaning
    assert {r.status for r in eager} == {"eos", "length"} and len({r.steps for r in eager}) > 1


@pytest.mark.parametrize("draft", ["chain", "paths"])
def test_a_named_rule_is_the_rule_that_runs(draft):
    stages = (*DRAFTS[draft], ModelVerifier(model="t", rule="match"), Temperature(value=0.8))
    eager, meaning = both(stages, 3)
    assert eager == meaning
    alone, _ = both((TARGET, Temperature(value=0.8)), 3)
    assert [r.tokens for r in eager] == [r.tokens for r in alone]  # sample-and-match: any draft, or none, the same tokens


def test_drafts_are_sometimes_taken_sometimes_not():
    """Else the tests above compare nothing."""
    eager, _ = both((*DRAFTS["chain"], TARGET), 3, limits=(40,))
    assert all(1.2 < len(r.tokens) / r.steps < 3.8 for r in eager)
