"""The sampling chain alone, from logits to a drawn token: no model, only what stands behind it.

Ours is a whole step of a pipeline on a model that looks its logits up, less the time of the look-up, so that the step's own
bookkeeping is in it. Transformers' is what `generate` does with the same logits: a copy in float32, its processors, softmax and
multinomial. A test holds both to one distribution.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from time import perf_counter
from typing import Any

import torch
from bound import LOWERED, decoder, prompts
from cell import Cell
from stub import ROWS, Stub, logits
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from penstock.backends.runtime.runner import Request
from penstock.bench.rounds import Contender, Lap
from penstock.dsl.stage import Stage
from penstock.ir.host import Forwarded
from penstock.library import MinP, ModelVerifier, Repetition, Temperature, TopK, TopP

TEXT, CALLS, WARM = 96, 12, 2
CHAINS: dict[str, tuple[list[Stage], list[Any]]] = {
    "whole chain": (
        [Repetition(alpha=1.2), Temperature(value=0.8), TopK(k=50), TopP(p=0.95), MinP(p=0.02)],
        [
            RepetitionPenaltyLogitsProcessor(1.2),
            TemperatureLogitsWarper(0.8),
            TopKLogitsWarper(50),
            TopPLogitsWarper(0.95),
            MinPLogitsWarper(0.02),
        ],
    ),
    "top-p": ([TopP(p=0.95)], [TopPLogitsWarper(0.95)]),
}
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}
PEAKED, FLAT = "peaked", "flat"


def cells() -> Iterator[Cell]:
    for chain, vocab, rows, kind, shape in product(CHAINS, (32000, 128256), (1, 8), KINDS, (PEAKED, FLAT)):
        settings = {"chain": chain, "vocab": vocab, "batch": rows, "logits": kind, "shape": shape}
        quick = vocab == 128256 and shape == PEAKED and kind == "fp32"
        yield Cell(f"{chain}, V = {vocab}, B = {rows}, {kind}, {shape}", partial(contenders, **settings), settings, 7, quick)


def contenders(chain: str, vocab: int, batch: int, logits: str, shape: str) -> dict[str, Contender]:
    """Ours by every backend, and transformers'."""
    stages, processors = CHAINS[chain]
    model = Promoted("target", table(vocab, shape).to(KINDS[logits]))
    texts = prompts(batch, TEXT, vocab, 0)
    found: dict[str, Contender] = {b: Ours(model, stages, texts, b) for b in LOWERED}
    return found | {"transformers": Theirs(model, processors, texts)}


def table(vocab: int, shape: str) -> Tensor:
    """``[ROWS, vocab]``: a few likely tokens on a long tail, or a tail alone."""
    return logits(vocab) if shape == PEAKED else torch.randn(ROWS, vocab, generator=torch.Generator().manual_seed(0))


class Promoted(Stub):
    """Logits in float32 at least, as the adapter of transformers' models hands them on; that counts, as it does in `generate`."""

    def forward(self, cache: Any, feed: Any) -> Forwarded:
        looked_up = super().forward(cache, feed).logits
        return Forwarded(looked_up.to(torch.promote_types(looked_up.dtype, torch.float32)))


class Ours:
    """Steps of one token, less what the model took."""

    def __init__(self, model: Stub, stages: Sequence[Stage], texts: list[list[int]], backend: Any) -> None:
        self.model = model
        self.decoder = decoder((ModelVerifier(model="target"), *stages), {"target": model}, backend)
        self.texts = texts

    def __call__(self, number: int) -> Lap:
        views, first = self.decoder.models, 100 * number
        requests = [Request(dict.fromkeys(views, text), WARM + CALLS, first + b) for b, text in enumerate(self.texts)]
        states = self.decoder.steps(self.decoder.start(requests))
        for _ in range(1 + WARM):
            next(states)
        spent, begun = self.model.spent, perf_counter()
        for _ in states:
            pass
        seconds = perf_counter() - begun - (self.model.spent - spent) / 1e9
        return Lap(seconds, CALLS * len(self.texts), CALLS)


class Theirs:
    """As `generate` draws from a model's logits."""

    def __init__(self, model: Stub, processors: list[Any], texts: list[list[int]]) -> None:
        self.table, self.processors, self.ids = model.table, LogitsProcessorList(processors), torch.tensor(texts)

    def chances(self, given: Tensor) -> Tensor:
        """What is drawn from, ``[b,v]``."""
        return self.processors(self.ids, given.to(copy=True, dtype=torch.float32)).softmax(-1)  # type: ignore[no-any-return]

    def __call__(self, number: int) -> Lap:
        torch.manual_seed(number)
        rows = [self.table[(torch.arange(len(self.ids)) * 7 + i) % ROWS] for i in range(WARM + CALLS)]
        begun = 0.0
        with torch.inference_mode():
            for i, given in enumerate(rows):
                if i == WARM:
                    begun = perf_counter()
                torch.multinomial(self.chances(given), num_samples=1).squeeze(1)
        return Lap(perf_counter() - begun, CALLS * len(self.ids), CALLS)
