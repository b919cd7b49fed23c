"""What the models of the zoo can do, on text no training run has seen."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo import markers
from penstock.library.zoo.data.draw import Split
from penstock.library.zoo.data.example import Example
from penstock.library.zoo.data.stream import example
from penstock.library.zoo.train.recipes import see_all

NEW_TOKENS = 160


@dataclass(frozen=True)
class Agreement:
    """How well a drafter stands in for its target: shares of positions, and tokens per call of the target."""

    greedy: float
    overlap: float
    tokens_per_call: float


def held_out(split: Split, kind: str, count: int, seed: int = 2) -> list[Example]:
    """The first ``count`` different examples of a held-out split."""
    found: dict[str, Example] = {}
    index = 0
    while len(found) < count:
        made = example(seed, split, index, kind)
        found.setdefault(made.prompt_text(), made)
        index += 1
    return list(found.values())


def answer(reply: str) -> str:
    """What stands between the answer markers; empty where there is no such place."""
    _, opened, rest = reply.partition(markers.ANSWER)
    inside, closed, _ = rest.partition(markers.ANSWER_END)
    return inside if opened and closed else ""


def right(made: Example, reply: str) -> bool:
    """Whether a reply holds the answer; of a function, its definition, since any two assertions on it are as good."""
    given, wanted = answer(reply), made.answer
    if made.kind == "function":
        given, wanted = (each.partition("\n\nassert")[0] for each in (given, wanted))
    return given == wanted


@torch.no_grad()
def replies(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: list[Example], rows: int = 20) -> list[str]:
    """The greedy reply to each request, its markers included."""
    told: list[str] = []
    for start in range(0, len(asked), rows):
        prompts = [each.prompt_text() for each in asked[start : start + rows]]
        given = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
        ids = model.generate(**given, max_new_tokens=NEW_TOKENS, do_sample=False, tokenizer=tokenizer)
        new = ids[:, given["input_ids"].shape[1] :]
        told += [text.split(markers.END)[0] + markers.END for text in tokenizer.batch_decode(new)]
    return told


def exact_match(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: list[Example]) -> float:
    """The share of requests whose greedy reply holds the right answer."""
    told = replies(model, tokenizer, asked)
    return sum(right(each, reply) for reply, each in zip(told, asked, strict=True)) / len(asked)


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
        ids = tokenizer(prompt + reply, return_tensors="pt")["input_ids"][:, :512]
        first = max(1, len(tokenizer(prompt)["input_ids"])) - 1
        p, q = (each(ids[:, :-1]).logits[0, first:].float().softmax(-1) for each in (target, drafter))
        same.append(p.argmax(-1) == q.argmax(-1))
        shared.append(torch.minimum(p, q).sum(-1))
    calls = sum(target_calls(each.tolist(), length) for each in same)
    tokens = sum(map(len, same))
    return Agreement(float(torch.cat(same).float().mean()), float(torch.cat(shared).mean()), tokens / calls)


@torch.no_grad()
def restored(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[tuple[str, str]], rate: float) -> float:
    """Share of hidden reply tokens a masked-diffusion model guesses in one call, ``rate`` of each reply hidden."""
    right = total = 0
    for index, (prompt, reply) in enumerate(texts):
        given, wanted = (tokenizer(part, return_tensors="pt")["input_ids"] for part in (prompt, reply))
        uniforms = torch.rand(wanted.shape, generator=torch.Generator().manual_seed(index))
        hidden = uniforms <= max(rate, float(uniforms.min()))
        ids = torch.cat([given, wanted.masked_fill(hidden, tokenizer.mask_token_id)], 1).long()
        guess = see_all(model, ids)[:, given.shape[1] :].argmax(-1)
        right, total = right + int((guess == wanted)[hidden].sum()), total + int(hidden.sum())
    return right / total


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
