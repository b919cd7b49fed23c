"""Stages on models that are here already, bound as `penstock.compile` binds them, and decoded as the decode loop does."""

from collections import deque
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import torch

from penstock.backends.runtime.digits import Digits
from penstock.backends.runtime.runner import Decoder, Request, forwards, read
from penstock.bench.rounds import Lap
from penstock.decode.binding import Bound, Loaded, Settled
from penstock.decode.means import Backend, Means
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.ir.rows import State

LOWERED: tuple[Backend, ...] = ("eager", "inductor")
"""Backends that are meant to be fast on a CPU."""


class Lowered(Decoder):
    """A decoder that knows what compiling it took."""

    def __init__(self, bound: Bound) -> None:
        made = bound.decoder
        super().__init__(made.graph, made.models, made.step, made.seed)
        self.compiled = bound.compiled


def decoder(stages: Sequence[Stage], models: Mapping[str, Any], backend: Backend = "eager") -> Lowered:
    """``models``: by the names that stages have for them; the one that is decoded is called target."""
    references = dict.fromkeys(models, "table:3:1")  # never loaded
    loaded = Loaded(dict(models), {name: Digits(model.vocab) for name, model in models.items()}, "target")
    settled = Settled.of(Pipeline(models=references, stages=tuple(stages)), loaded)
    return Lowered(Bound.of(settled, loaded, Means(backend), timed=False))


class Continued:
    """A decoder that goes on from prompts that it has read once: every lap decodes from a copy of the same caches."""

    def __init__(self, made: Decoder, prompts: Sequence[Sequence[int]], limit: int) -> None:
        self.decoder = made
        requests = [Request(dict.fromkeys(made.models, prompt), limit, key) for key, prompt in enumerate(prompts)]
        self.begun = made.start(requests)

    def __call__(self, number: int) -> Lap:
        """From the first step's tokens to the last's, so that what is left of prefill counts for nobody."""
        states = self.decoder.steps(self.decoder.take(self.begun, range(len(self.begun["seq"].key))))  # type: ignore[attr-defined]
        next(states), (state := next(states))
        before, begun = counted(state), perf_counter()
        (state,) = deque(states, maxlen=1)
        seconds = perf_counter() - begun
        tokens, steps = (after - earlier for after, earlier in zip(counted(state), before, strict=True))
        return Lap(seconds, tokens, steps, texts=tuple(tuple(row.tokens) for row in read(state)))


def counted(state: State) -> tuple[int, float]:
    """Tokens so far, and forwards of the target, of all rows."""
    tokens = sum(len(row.tokens) for row in read(state))
    return tokens, sum(row["target"] for row in forwards(state))


def prompts(rows: int, length: int, vocab: int, seed: int) -> list[list[int]]:
    """Random texts of one length."""
    return torch.randint(0, vocab, (rows, length), generator=torch.Generator().manual_seed(seed)).tolist()
