"""Transformers' `generate`, timed from its first tokens to its last, going on from a cache that was filled before."""

import copy
from collections.abc import Sequence
from inspect import signature
from time import perf_counter
from typing import Any

import torch
from transformers import DynamicCache, LlamaForCausalLM

from penstock.backends.runtime import hf
from penstock.bench.rounds import Lap

CACHE = "cache" if "cache" in signature(LlamaForCausalLM.forward).parameters else "past_key_values"
"""What this version calls it."""


class Arrivals:
    """A streamer that notes when tokens came, and how many."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.counts: list[int] = []

    def put(self, tokens: Any) -> None:
        self.times.append(perf_counter())
        self.counts.append(tokens.numel())

    def end(self) -> None:
        pass


class Generate:
    """One call of `generate` a lap; ``options`` as for it."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], limit: int, options: dict[str, Any]) -> None:
        self.model, self.ids, self.rows = model, torch.tensor(prompts), len(prompts)
        self.options = {**options, "max_new_tokens": limit, "pad_token_id": 0, "eos_token_id": None}
        with torch.inference_mode():
            self.filled = DynamicCache(config=model.config)
            model(input_ids=self.ids[:, :-1], logits_to_keep=1, **{CACHE: self.filled})

    def __call__(self, number: int) -> Lap:
        torch.manual_seed(number)
        told = Arrivals()
        with torch.inference_mode(), hf.hushed():
            out = self.model.generate(
                self.ids,
                attention_mask=torch.ones_like(self.ids),
                streamer=told,
                **{CACHE: copy.deepcopy(self.filled)},
                **self.options,
            )
        new = out[:, self.ids.shape[1] :].tolist()
        _, _, *counts = told.counts  # the prompt, and the first step
        return Lap(told.times[-1] - told.times[1], sum(counts), self.rows * len(counts), texts=tuple(map(tuple, new)))
