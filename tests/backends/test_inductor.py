"""The inductor backend gives the tokens that the graph's meaning gives; most tests trace its regions and leave C++ out."""

from typing import Any

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from penstock.backends.inductor import artefact
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.layout import bucket
from penstock.backends.inductor.lower import lower
from penstock.backends.inductor.toolchain import CACHE, compiler, keep_cache
from penstock.backends.interpret import interpreted
from penstock.backends.runtime.runner import Decoded, Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.ir.standin import StandIn
from penstock.library import (
    ModelDrafter,
    ModelVerifier,
    OrElse,
    PromptLookup,
    Repetition,
    StochasticBeam,
    Temperature,
    TopK,
    TopKTree,
    TopP,
    ToyGrammar,
    TypicalAcceptor,
)
from penstock.passes.build import build
from penstock.passes.order import elaborate

VOCAB = 7
TARGET = ModelVerifier(model="t")
MODELS = {"t": TableModel(VOCAB, 1, 2), "draft:d": TableModel(VOCAB, 1, 1, sharpness=1.2)}
PROMPTS = [[1], [2, 0, 1], [3, 3], [4, 5, 6, 1], [0, 6]]
DRAFTS: dict[str, tuple[Any, ...]] = {
    "none": (),
    "chain": (ModelDrafter(model="d", length=3),),
    "paths": (ModelDrafter(model="d", length=2, paths=3),),
    "ranked": (TopKTree(model="d", branching=(3, 1, 2)),),
    "beam": (StochasticBeam(model="d", width=3, length=2),),
    "mixed": (OrElse(first=PromptLookup(length=2), second=ModelDrafter(model="d", length=2)),),
}
SHAPES: dict[str, tuple[Any, ...]] = {
    "plain": (),
    "greedy": (Temperature(value=0),),
    "penalty": (Repetition(alpha=1.4), Temperature(value=0.7)),
    "grammar": (ToyGrammar.over(VOCAB), Temperature(value=0.9)),
    "narrow": (Temperature(value=1.3), TopK(k=3), TopP(p=0.8)),
    "greedy grammar": (ToyGrammar.over(VOCAB), Repetition(alpha=1.2), Temperature(value=0)),
}


def both(stages: tuple[Any, ...], batch: int, artefacts: Artefacts, dtype: Any = torch.float64) -> tuple[list[Decoded], ...]:
    """``(inductor, meaning)``: the same requests decoded twice."""
    models = {v: m for v, m in MODELS.items() if v == "t" or any(s.role == "drafter" for s in stages)}
    facts = {v: StandIn(m.name, m.vocab, m.width, m.layers, m.capabilities) for v, m in models.items()}
    graph = build(elaborate(stages), facts, eos=(2, 5))
    requests = [Request(dict.fromkeys(models, PROMPTS[b]), (14, 3, 9)[b % 3], key=b) for b in range(batch)]
    steps = lower(graph, artefacts), interpreted(graph)
    return tuple(Decoder(graph, models, step).decode(requests) for step in steps)


@pytest.fixture
def traced(monkeypatch):
    """Regions are traced on tensors, which fails where something asks what a tensor holds, and run as traced."""
    graphs: list[torch.fx.GraphModule] = []

    def built(function: Any, inputs: list[torch.Tensor]) -> Any:
        graphs.append(make_fx(function)(*inputs))
        return graphs[-1]

    monkeypatch.setattr(artefact, "built", built)
    monkeypatch.setattr("penstock.backends.inductor.lower.compiler", lambda: "c++")
    return graphs


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("batch", [1, 3])
def test_tokens_are_those_of_the_meaning(draft, shape, batch, traced):
    artefacts = Artefacts()
    inductor, meaning = both((*DRAFTS[draft], TARGET, *SHAPES[shape]), batch, artefacts)
    assert inductor == meaning
    assert traced and not artefacts.report.refused
