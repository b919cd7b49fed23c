"""Who is measured: a pipeline, and transformers' own ``generate``; each from texts to texts, prefill included."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from penstock.backends.runtime import hf
from penstock.bench.counterpart import Counterpart
from penstock.bench.rounds import Lap
from penstock.decode.dialogue import Prompt
from penstock.decode.generation import Generation
from penstock.decode.runner import Runner


@dataclass(frozen=True)
class Work:
    """What all contenders are asked for."""

    prompts: Sequence[Prompt]
    """A row each; as many as fill whole batches."""
    batch: int
    limit: int
    """New tokens of a row at most."""

    def batches(self) -> Iterator[Sequence[Prompt]]:
        """The prompts that are decoded together."""
        return (self.prompts[first : first + self.batch] for first in range(0, len(self.prompts), self.batch))


class Pipelined:
    """A pipeline bound to its models."""

    def __init__(self, runner: Runner, work: Work) -> None:
        self.runner, self.work = runner, work

    def __call__(self, number: int) -> Lap:
        work, begun = self.work, perf_counter()
        made = self.runner.generate(work.prompts, batch=work.batch, max_new_tokens=work.limit, seed=number)
        seconds = perf_counter() - begun
        return Lap(
            seconds,
            sum(each.stats.new_tokens for each in made),
            sum(each.stats.target_forwards for each in made),
            by_stage([made[first : first + work.batch] for first in range(0, len(made), work.batch)]),
            tuple(tuple(each.tokens) for each in made),
        )


def by_stage(batches: Sequence[Sequence[Generation]]) -> dict[str, float]:
    """Seconds by stage: in each batch those until its last row ended."""
    total: dict[str, float] = {}
    for batch in batches:
        for stage, seconds in max(batch, key=lambda each: each.stats.seconds).stats.stages.items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total


class Generated:
    """``generate`` of a model of transformers on the same ids, with its own attention and cache."""

    def __init__(self, model: Any, assistant: Any, call: Counterpart, runner: Runner, eos: Sequence[int], work: Work) -> None:
        """``runner``: whose ids of the prompts are taken; ``eos``: what ends a text."""
        self.model, self.runner, self.eos, self.work, self.forwards = model, runner, tuple(eos), work, 0
        self.view = next(iter(runner.decoder.models))
        ends = list(eos) or None
        self.options = {**call.options, "max_new_tokens": work.limit, "pad_token_id": 0, "eos_token_id": ends}
        if "stop_strings" in self.options:
            self.options["tokenizer"] = runner.text.tokenizer  # type: ignore[attr-defined]
        if assistant is not None:
            self.options["assistant_model"] = as_told(assistant, call.drafted)
        model.register_forward_pre_hook(self.count)

    def count(self, *_: Any) -> None:
        self.forwards += 1

    def __call__(self, number: int) -> Lap:
        torch.manual_seed(number)
        made: list[tuple[int, ...]] = []
        forwards, begun = 0, perf_counter()
        for prompts in self.work.batches():
            before, rows = self.forwards, self.generated(prompts)
            texts = [self.runner.text.decode(row) for row in rows]
            # Alone a row has all forwards; in a batch, which never drafts, each has one a token.
            forwards += self.forwards - before if len(texts) == 1 else sum(map(len, rows))
            made += map(tuple, rows)
        return Lap(perf_counter() - begun, sum(map(len, made)), forwards, texts=tuple(made))

    @torch.inference_mode()
    def generated(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """The new tokens of each row, up to the first that ends it."""
        ids, mask = padded([self.runner.views_of(prompt)[self.view] for prompt in prompts])
        with hf.hushed():  # it warns of options that it passes on to itself
            rows = self.model.generate(input_ids=ids, attention_mask=mask, **self.options)[:, ids.shape[1] :].tolist()
        ends = [next((i + 1 for i, token in enumerate(row) if token in self.eos), len(row)) for row in rows]
        return [row[:end] for row, end in zip(rows, ends, strict=True)]


def as_told(assistant: Any, drafted: int) -> Any:
    """An assistant that drafts a fixed number of tokens, as a pipeline's drafter does: no schedule, no early stop."""
    config = assistant.generation_config
    config.num_assistant_tokens, config.num_assistant_tokens_schedule = drafted, "constant"
    config.assistant_confidence_threshold = 0.0
    return assistant


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """``(ids, mask)``, both int64 ``[b,longest]``, padded on the left."""
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows])
    return ids, torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
