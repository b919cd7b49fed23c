"""How well a drafter stands in for its target."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo.markers import CONTEXT


@dataclass(frozen=True)
class Agreement:
    """Shares of positions, and tokens per call of the target."""

    greedy: float
    overlap: float
    tokens_per_call: float


@torch.no_grad()
def agreement(
    target: PreTrainedModel,
    drafter: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[tuple[str, str]],
    length: int = 4,
) -> Agreement:
    """Agreement at every token of the second part of each ``(prompt, reply)``, drafts of ``length`` tokens."""
    same: list[Tensor] = []
    shared: list[Tensor] = []
    for prompt, reply in texts:
        ids = tokenizer(prompt + reply, return_tensors="pt")["input_ids"][:, :CONTEXT]
        first = max(1, len(tokenizer(prompt)["input_ids"])) - 1
        p, q = (each(ids[:, :-1]).logits[0, first:].float().softmax(-1) for each in (target, drafter))
        same.append(p.argmax(-1) == q.argmax(-1))
        shared.append(torch.minimum(p, q).sum(-1))
    calls = sum(target_calls(each.tolist(), length) for each in same)
    tokens = sum(map(len, same))
    return Agreement(float(torch.cat(same).float().mean()), float(torch.cat(shared).mean()), tokens / calls)


def target_calls(same: list[bool], length: int) -> int:
    """Calls of the target that a greedy chain of ``length`` drafts needs, where ``same`` says which drafts it takes."""
    calls, at = 0, 0
    while at < len(same):
        run = 0
        while run < length and at + run < len(same) and same[at + run]:
            run += 1
        at += run + 1
        calls += 1
    return calls
