"""Drafts, shapes and models over seven tokens, decoded by the inductor backend and by the meaning of every op."""

from typing import Any

from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.lower import lower
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
)
from penstock.passes.build import StepGraph, build
from penstock.passes.order import elaborate

VOCAB = 7
TARGET = ModelVerifier(model="t")
MODELS = {"t": TableModel(VOCAB, 1, 2), "draft:d": TableModel(VOCAB, 1, 1, sharpness=1.2)}
PROMPTS = [[1], [2, 0, 1], [3, 3], [4, 5, 6, 1], [0, 6]]
DRAFTS: dict[str, tuple[Any, ...]] = {
    "none": (),
    "chain": (ModelDrafter(model="d", length=3),),
    "paths": (ModelDrafter(model="d", length=1, paths=3),),
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


def graph_of(stages: tuple[Any, ...], eos: tuple[int, ...] = (2, 5)) -> StepGraph:
    models = {v: m for v, m in MODELS.items() if v == "t" or any(s.role == "drafter" for s in stages)}
    facts = {v: StandIn(m.name, m.vocab, m.width, m.layers, m.capabilities) for v, m in models.items()}
    return build(elaborate(stages), facts, eos=eos)


def both(stages: tuple[Any, ...], batch: int, artefacts: Artefacts, lockstep: bool = False) -> tuple[list[Decoded], ...]:
    """``(inductor, meaning)``: the same requests decoded twice."""
    graph = graph_of(stages)
    models = {v: m for v, m in MODELS.items() if f"view:{v}" in graph.handles}
    requests = [Request(dict.fromkeys(models, PROMPTS[b]), (14, 3, 9)[b % 3], key=b) for b in range(batch)]
    steps = lower(graph, artefacts, lockstep=lockstep), interpreted(graph)
    return tuple(Decoder(graph, models, step).decode(requests) for step in steps)
