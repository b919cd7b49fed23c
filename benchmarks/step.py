"""Framework time a step beyond the models' forwards, ours beside loops written by hand for the same algorithm.

Models are stubs that look their logits up, in a time that is counted and taken off. *hand*: the same algorithm written by hand
for this case only, in Python integers and preallocated buffers (one row) or vectorised (8 rows), with torch's argmax and noise of
`exponential_`. *tuned*: the same with the fastest argmax and noise that we found. Neither has noise with an address. The chain is
verified by speculative sampling, the top-k tree by sample-and-match, the four independent paths by K-SEQ, which nobody writes by
hand.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from time import perf_counter_ns
from typing import Any

from bound import LOWERED, decoder, prompts
from cell import Cell
from hand_written import Alone, Chain, Chains, Loop, Plain, Tuned
from hand_written_tree import Tree
from stub import Stub, pair

from penstock.backends.runtime.runner import Decoder, Request
from penstock.bench.rounds import Contender, Lap
from penstock.decode.means import Backend
from penstock.dsl.stage import Stage
from penstock.ir.state import RUNNING
from penstock.library import ModelDrafter, ModelVerifier, Temperature, TopKTree

VOCAB = 32000
PROMPT, ROOM, WARM, STEPS = 96, 1024, 3, 16
DRAFTS: dict[str, tuple[Stage, ...]] = {
    "no draft": (),
    "chain of 4": (ModelDrafter(model="drafter", length=4),),
    "tree of 16": (TopKTree(model="drafter", branching=(4, 1, 1, 1)),),
    "4 paths of 4": (ModelDrafter(model="drafter", length=4, paths=4),),
}
HAND: dict[str, tuple[type[Loop], type[Loop]]] = {
    "no draft": (Alone, Alone),
    "chain of 4": (Chain, Chains),
    "tree of 16": (Tree, Tree),
}
"""The loop for one row and the one for many."""
SELECTION = {"greedy": 0.0, "T = 0.8": 0.8}


class Penstock:
    """A pipeline, lowered by a backend and run as the decode loop runs it."""

    def __init__(self, made: Decoder, texts: list[list[int]]) -> None:
        state = made.start([Request(dict.fromkeys(made.models, text), ROOM - PROMPT - 32) for text in texts])
        self.run, self.seq = made.step, made.graph.handles.index("seq")
        self.handles: Any = [state[name] for name in made.graph.handles]

    def step(self) -> None:
        assert RUNNING in self.handles[self.seq].status.tolist()
        self.handles = self.run(*self.handles)

    def tokens(self) -> int:
        return int(self.handles[self.seq].length.sum())


def lowered(draft: str, models: tuple[Stub, Stub], temperature: float, backend: Backend = "eager") -> Decoder:
    """The pipeline with this draft."""
    stages = *DRAFTS[draft], ModelVerifier(model="target"), Temperature(value=temperature)
    return decoder(stages, {"target": models[0]} | ({"drafter": models[1]} if DRAFTS[draft] else {}), backend)


class HandWritten:
    """A loop of hand_written.py."""

    def __init__(
        self, draft: str, models: tuple[Stub, Stub], texts: list[list[int]], temperature: float, pick: type[Plain] | type[Tuned]
    ) -> None:
        self.loop, self.count = HAND[draft][len(texts) > 1](*models, texts, ROOM, temperature, pick), 0

    def step(self) -> None:
        self.count += sum(map(len, self.loop.step()))

    def tokens(self) -> int:
        return self.count


@dataclass
class Steps:
    """A lap: a contender made anew, warmed, and timed over some steps less what the stubs spent in them."""

    make: Callable[[list[list[int]]], Penstock | HandWritten]
    models: tuple[Stub, Stub]
    rows: int
    decoder: Decoder | None = None
    """What runs ours."""

    def __call__(self, number: int) -> Lap:
        made = self.make(prompts(self.rows, PROMPT, self.models[0].vocab, number))
        for _ in range(WARM):
            made.step()
        tokens, spent, begun = made.tokens(), self.spent(), perf_counter_ns()
        for _ in range(STEPS):
            made.step()
        whole = perf_counter_ns() - begun
        return Lap((whole - self.spent() + spent) / 1e9, made.tokens() - tokens, STEPS)

    def spent(self) -> int:
        return sum(model.spent for model in self.models)


def cells() -> Iterator[Cell]:
    for draft, rows, selection in product(DRAFTS, (1, 8), SELECTION):
        settings = {"vocab": VOCAB, "draft": draft, "rows": rows, "selection": selection}
        quick = draft in ("no draft", "tree of 16")
        yield Cell(f"{VOCAB}, {draft}, B = {rows}, {selection}", partial(contenders, **settings), settings, 9, quick)


def contenders(vocab: int, draft: str, rows: int, selection: str) -> dict[str, Contender]:
    """Every backend, and the loops by hand where there are any, each from the same prompts in a round."""
    models, heat = pair(vocab), SELECTION[selection]
    found: dict[str, Contender] = {}
    for backend in LOWERED:
        made = lowered(draft, models, heat, backend)
        found[backend] = Steps(partial(Penstock, made), models, rows, made)
    for name, pick in (("hand", Plain), ("tuned", Tuned)) if draft in HAND else ():
        found[name] = Steps(partial(HandWritten, draft, models, temperature=heat, pick=pick), models, rows)
    return found
