"""From logits to the drawn token: transforms and a draw in a lowered step, beside processors and multinomial of transformers.

``python benchmarks/sampling.py`` prints a line a case: every contender in turn, round after round, on one thread.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns
from typing import Any

import torch
from torch import Tensor

from penstock.backends.eager.lower import lowered
from penstock.ir import tracing
from penstock.ir.ops.logits import repetition_penalty, scale, top_k, top_p
from penstock.ir.ops.threshold import min_p
from penstock.ir.rules import Match
from penstock.ir.trace import Tracer
from penstock.ir.types import EXAMPLE_ROWS
from penstock.ir.walk import walk
from penstock.passes.build import StepGraph
from penstock.passes.plan import Plan

TEXT, ALPHA, TEMPERATURE, K, P, SHARE = 200, 1.1, 0.8, 50, 0.9, 0.05
"""Tokens of the text that the penalty reads, and what the transforms are told."""


@dataclass(frozen=True)
class Chain:
    """Transforms by name, in order."""

    name: str
    transforms: tuple[str, ...]


CHAINS = {
    "chain": Chain("chain", ("repetition", "temperature", "top_k", "top_p", "min_p")),
    "top_p": Chain("top_p", ("top_p",)),
    "min_p": Chain("min_p", ("min_p",)),
    "temperature": Chain("temperature", ("temperature",)),
}


def logits(kind: str, rows: int, vocab: int, seed: int = 0) -> Tensor:
    """``[rows,vocab]``: a few likely tokens on a long tail (peaked), or a bell (flat)."""
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, vocab, generator=draws)
    if kind == "peaked":
        x = 2 * x
        likely = torch.randint(0, vocab, (rows, 30), generator=draws)
        x.scatter_add_(1, likely, torch.randn(rows, 30, generator=draws).abs() * 3 + 8)
    return x


class Penstock:
    """A step that is a walk over composed logits and nothing else, lowered as any step is."""

    def __init__(self, chain: Chain, text: Tensor, vocab: int, without: Sequence[str] = ()) -> None:
        rows = len(text)
        self.seen = torch.zeros(rows, 1, vocab, dtype=torch.bool).scatter_(2, text[:, None], True)
        zero = torch.zeros(rows, dtype=torch.long)
        self.state = [zero + 200, zero + 7, torch.arange(rows) + 3, zero + 10_000, zero == 0]
        self.step = lowered(traced(chain, vocab), without=without)
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        length = self.state[0] + self.calls
        return self.step(x.float()[:, None], self.seen, length, *self.state[1:])[0]  # type: ignore[no-any-return]


def traced(chain: Chain, vocab: int) -> StepGraph:
    """The graph of one chain and one walk, without a draft."""
    zero, example = torch.zeros(EXAMPLE_ROWS, dtype=torch.long), torch.zeros(EXAMPLE_ROWS, 1, vocab)
    tracer = Tracer({}, vocab)
    values = dict(x=example, seen=example > 0, length=zero, steps=zero, key=zero, limit=zero + 9, live=zero == 0)
    given: dict[str, Any] = {name: tracer.placeholder(name, value) for name, value in values.items()}
    with tracing.recording(tracer):  # type: ignore[arg-type]
        x, seen = given.pop("x"), given.pop("seen")
        for name in chain.transforms:
            x = TRANSFORMS[name](x, seen)
        commit = walk(x, None, Match(), stage="verifier", **given)
    tracer.graph.output((commit.token.node,))
    return StepGraph(tracer.graph, (), Plan(()), 0, ())


TRANSFORMS: dict[str, Callable[[Any, Any], Any]] = {
    "repetition": lambda x, seen: repetition_penalty(x, seen, ALPHA),
    "temperature": lambda x, seen: scale(x, TEMPERATURE),
    "top_k": lambda x, seen: top_k(x, K),
    "top_p": lambda x, seen: top_p(x, P),
    "min_p": lambda x, seen: min_p(x, SHARE),
}


class Transformers:
    """The processors of the same names, then softmax and multinomial, as `generate` calls them: on float32."""

    def __init__(self, chain: Chain, text: Tensor, vocab: int) -> None:
        from transformers.generation import logits_process as processors

        made = {
            "repetition": lambda: processors.RepetitionPenaltyLogitsProcessor(ALPHA),
            "temperature": lambda: processors.TemperatureLogitsWarper(TEMPERATURE),
            "top_k": lambda: processors.TopKLogitsWarper(K),
            "top_p": lambda: processors.TopPLogitsWarper(P),
            "min_p": lambda: processors.MinPLogitsWarper(SHARE),
        }
        self.text, self.processors = text, [made[name]() for name in chain.transforms]

    def chances(self, x: Tensor) -> Tensor:
        """What is drawn from."""
        x = x.float()
        for process in self.processors:
            x = process(self.text, x)
        return x.softmax(-1)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.multinomial(self.chances(x), 1)


@dataclass(frozen=True)
class Case:
    chain: str
    kind: str
    rows: int
    vocab: int
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        return f"{self.chain:11} | {self.kind:6} | {self.rows} | {self.vocab:6} | {str(self.dtype).removeprefix('torch.'):8}"


CASES = [
    *(Case("chain", "peaked", b, 128_256, t) for b in (1, 8) for t in (torch.float32, torch.bfloat16)),
    *(Case("top_p", kind, b, 128_256) for kind in ("peaked", "flat") for b in (1, 8)),
    *(Case(chain, "peaked", b, 32_000) for chain in ("chain", "top_p", "min_p", "temperature") for b in (1, 8)),
]


CALLS = 8
"""Calls a round: as many in a row as a decode loop makes."""


def measure(case: Case, rounds: int) -> dict[str, list[float]]:
    """Milliseconds a call by contender, the mean of each round; calls have different logits, the same for both."""
    draws = torch.Generator().manual_seed(1)
    text = torch.randint(0, case.vocab, (case.rows, TEXT), generator=draws)
    inputs = [logits(case.kind, case.rows, case.vocab, seed).to(case.dtype) for seed in range(3)]
    contenders = {made.__name__: made(CHAINS[case.chain], text, case.vocab) for made in (Penstock, Transformers)}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, call in contenders.items():
            begun = perf_counter_ns()
            for i in range(CALLS):
                call(inputs[i % len(inputs)])
            times[name].append((perf_counter_ns() - begun) / 1e6 / CALLS)
    return {name: found[1:] for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--chain", choices=CHAINS, help="only this chain")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("chain       | logits | B | V      | dtype    | ours ms (least) | transformers ms (least) | ratio")
    for case in CASES:
        if asked.chain in (None, case.chain):
            with torch.inference_mode():
                ours, theirs = measure(case, asked.rounds).values()
            told = [f"{median(times):.3f} ({min(times):.3f})" for times in (ours, theirs)]
            print(f"{case} | {' | '.join(told)} | {median(theirs) / median(ours):.1f}", flush=True)


if __name__ == "__main__":
    main()
