"""Greedy replies that a grammar holds to: an answer that is JSON under the schema of what was asked for."""

import json
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo import markers
from penstock.library.zoo.data import records
from penstock.library.zoo.data.example import Example

NEW_TOKENS = 160
SPACING = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}
"""As records were written when the model learnt to write them."""


class Held(LogitsProcessor):
    """Of one row: nothing but what the grammar allows next."""

    def __init__(self, tokenizer: Any, grammar: str, prompt: int) -> None:
        from llguidance import LLMatcher

        self.matcher, self.seen = LLMatcher(tokenizer, grammar), prompt

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        for token in input_ids[0, self.seen :].tolist():
            self.matcher.consume_token(token)
        self.seen = input_ids.shape[1]
        return scores.masked_fill(~self.allowed(scores.shape[1]), -torch.inf)

    def allowed(self, vocab: int) -> Tensor:
        """bool ``[v]``: what may come next."""
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

        mask = allocate_token_bitmask(1, vocab)
        fill_next_token_bitmask(self.matcher, mask)
        bits = torch.from_numpy(mask)[0, :, None] >> torch.arange(32) & 1
        return bits.flatten()[:vocab].bool()


def grammar(made: Example) -> str:
    """A reply of one answer, under the schema of the kind of record that is asked for."""
    assert made.pair is not None, "a record says what it is of"
    schema = records.KINDS[made.pair[0]].schema() | SPACING
    answer = f"{markers.ANSWER} record {markers.ANSWER_END} {markers.END}"
    return f"%llguidance {{}}\nstart: {answer}\nrecord: %json {json.dumps(schema)}\n"


@torch.no_grad()
def replies(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: list[Example]) -> list[str]:
    """The greedy reply to each request among those that its grammar allows, its markers included."""
    from llguidance.hf import from_tokenizer

    known, told = from_tokenizer(tokenizer), []  # type: ignore[arg-type]
    for made in asked:
        given = tokenizer(made.prompt_text(), return_tensors="pt").to(model.device)
        held = Held(known, grammar(made), given["input_ids"].shape[1])
        options: dict[str, Any] = dict(max_new_tokens=NEW_TOKENS, do_sample=False, logits_processor=[held])
        new = model.generate(**given, **options)[0, given["input_ids"].shape[1] :]  # type: ignore[operator]
        told.append(tokenizer.decode(new).split(markers.END)[0] + markers.END)
    return told
