"""Framework time a step beyond the models' forwards, ours beside loops written by hand for the same algorithm.

``python benchmarks/step.py`` measures every cell in short alternating rounds on one thread and writes results/step.md.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch
from hand_written import Chain, Chains, Loop, Plain, Tuned
from hand_written_tree import Tree
from stub import Stub, pair

from penstock.backends.eager.lower import lower
from penstock.backends.runtime.runner import Decoder, Request
from penstock.ir.standin import StandIn
from penstock.ir.state import RUNNING
from penstock.library import ModelDrafter, ModelVerifier, Temperature, TopKTree
from penstock.passes.build import build
from penstock.passes.order import elaborate

PROMPT, ROOM, WARM, STEPS = 96, 1024, 3, 16
DRAFTS = {
    "chain of 4": ModelDrafter(model="drafter", length=4),
    "tree of 16": TopKTree(model="drafter", branching=(4, 1, 1, 1)),
    "4 paths of 4": ModelDrafter(model="drafter", length=4, paths=4),
}
HAND: dict[str, tuple[type[Loop], type[Loop]]] = {"chain of 4": (Chain, Chains), "tree of 16": (Tree, Tree)}
"""The loop for one row and the one for many; nobody writes K-SEQ by hand."""


class Penstock:
    """A lowered pipeline, run as the decode loop runs it."""

    def __init__(self, draft: str, models: tuple[Stub, Stub], prompts: list[list[int]], temperature: float) -> None:
        stages = DRAFTS[draft], ModelVerifier(model="target"), Temperature(value=temperature)
        views = {"target": models[0], "draft:drafter": models[1]}
        facts = {v: StandIn(m.name, m.vocab, m.width, m.layers, m.capabilities) for v, m in views.items()}
        graph = build(elaborate(stages), facts)
        self.run, self.seq = lower(graph), graph.handles.index("seq")
        state = Decoder(graph, views, self.run).start([Request(dict.fromkeys(views, p), ROOM - PROMPT - 32) for p in prompts])
        self.handles: Any = [state[name] for name in graph.handles]

    def step(self) -> None:
        assert RUNNING in self.handles[self.seq].status.tolist()
        self.handles = self.run(*self.handles)

    def tokens(self) -> int:
        return int(self.handles[self.seq].length.sum())


class HandWritten:
    """A loop of hand_written.py."""

    def __init__(
        self, draft: str, models: tuple[Stub, Stub], prompts: list[list[int]], temperature: float, pick: type[Plain] | type[Tuned]
    ) -> None:
        self.loop, self.count = HAND[draft][len(prompts) > 1](*models, prompts, ROOM, temperature, pick), 0

    def step(self) -> None:
        self.count += sum(map(len, self.loop.step()))

    def tokens(self) -> int:
        return self.count


@dataclass(frozen=True)
class Cell:
    vocab: int
    draft: str
    rows: int
    temperature: float

    @property
    def name(self) -> str:
        return f"{self.vocab} | {self.draft} | {self.rows} | {f'T = {self.temperature}' if self.temperature else 'greedy'}"


@dataclass
class Times:
    """Milliseconds a step by round, and tokens a row and step."""

    rounds: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.rounds)

    @property
    def best(self) -> float:
        return min(self.rounds)


CELLS = [Cell(v, d, b, t) for v in (4096, 32000) for d in DRAFTS for b in (1, 8) for t in (0, 0.8)]


def contenders(cell: Cell, models: tuple[Stub, Stub], seed: int) -> dict[str, Callable[[], Any]]:
    draws = torch.Generator().manual_seed(seed)
    prompts = torch.randint(0, cell.vocab, (cell.rows, PROMPT), generator=draws).tolist()
    arguments = cell.draft, models, prompts, cell.temperature
    ours = {"ours": lambda: Penstock(*arguments)}
    hand = {"hand": lambda: HandWritten(*arguments, Plain), "tuned": lambda: HandWritten(*arguments, Tuned)}
    return ours | (hand if cell.draft in HAND else {})


def measure(cell: Cell, rounds: int) -> dict[str, Times]:
    """Every contender from the same prompts in turn, round after round, so that the machine's other work meets all alike."""
    models = pair(cell.vocab)
    times: dict[str, Times] = {}
    with torch.inference_mode():
        for i in range(rounds):
            for name, make in contenders(cell, models, i).items():
                timed(make(), models, times.setdefault(name, Times()), cell.rows)
    return times


def timed(contender: Any, models: tuple[Stub, Stub], times: Times, rows: int) -> None:
    """One round: warm up, then steps, less what the stubs spent in them."""
    for _ in range(WARM):
        contender.step()
    tokens, stubs, begun = contender.tokens(), sum(m.spent for m in models), perf_counter_ns()
    for _ in range(STEPS):
        contender.step()
    whole = perf_counter_ns() - begun
    times.rounds.append((whole - sum(m.spent for m in models) + stubs) / STEPS / 1e6)
    times.tokens.append((contender.tokens() - tokens) / STEPS / rows)


HEAD = """# Framework time a step

Generated by `python benchmarks/step.py --write benchmarks/results/step.md` on {today}. Milliseconds a step beyond the models' own
forwards (stubs that look their logits up; their time, measured in the same run, is taken off), median (least) of {rounds} rounds
of {steps} steps, the contenders in turn. One thread. {machine}.

*hand*: the same algorithm written by hand for this case only, in Python integers and preallocated buffers (one row) or vectorised
(8 rows), with torch's argmax and `exponential_` noise. *tuned*: the same with the fastest argmax and noise that we found (numpy's
argmax, a logarithm of uniforms). Neither has noise with an address. *tokens*: committed a row and step, ours and hand's. The
chain is verified by speculative sampling, the top-k tree by sample-and-match, the four independent paths by K-SEQ.

| vocabulary | draft | rows | selection | ours | hand | tuned | ours / hand | ours / tuned | tokens |
|---|---|---|---|---|---|---|---|---|---|
"""


def report(results: dict[Cell, dict[str, Times]], rounds: int) -> str:
    head = HEAD.format(today=date.today(), rounds=rounds, steps=STEPS, machine=machine())
    return head + "".join(map(line, results.items()))


def line(item: tuple[Cell, dict[str, Times]]) -> str:
    cell, by = item
    ours, hand = by["ours"], [by[name] for name in ("hand", "tuned") if name in by]
    shown = [f"{t.median:.3f} ({t.best:.3f})" for t in (ours, *hand)] + ["-"] * (2 - len(hand))
    ratios = [f"{ours.median / t.median:.2f} ({ours.best / t.best:.2f})" for t in hand] + ["-"] * (2 - len(hand))
    tokens = ", ".join(f"{np.mean(t.tokens):.2f}" for t in (ours, *hand[:1]))
    return f"| {' | '.join([cell.name, *shown, *ratios, tokens])} |\n"


def machine() -> str:
    """Processor and versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    processor = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), platform.processor())
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    return f"{processor}, {os.cpu_count()} cores, shared with other work; {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--vocab", type=int, help="only this vocabulary")
    parser.add_argument("--rows", type=int, help="only this batch")
    parser.add_argument("--draft", choices=DRAFTS, help="only this draft")
    parser.add_argument("--write", type=Path, help="write the report here")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [c for c in CELLS if all(getattr(asked, f) in (None, getattr(c, f)) for f in ("vocab", "rows", "draft"))]
    results = {}
    for cell in chosen:
        results[cell] = measure(cell, asked.rounds)
        print(line((cell, results[cell])), end="", flush=True)
    if asked.write:
        asked.write.write_text(report(results, asked.rounds))


if __name__ == "__main__":
    main()
