"""Greedy replies, and whether they are right."""

from collections.abc import Callable

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo import markers
from penstock.library.zoo.data import records
from penstock.library.zoo.data.example import Example

NEW_TOKENS = 160


def answer(reply: str) -> str:
    """What stands between the answer markers; empty where there is no such place."""
    _, opened, rest = reply.partition(markers.ANSWER)
    inside, closed, _ = rest.partition(markers.ANSWER_END)
    return inside if opened and closed else ""


def right(made: Example, reply: str) -> bool:
    """Whether a reply holds the answer, without a thought where none was asked for.

    Of a function its definition is enough, since any two assertions on it are as good.
    """
    if markers.THINK in reply and not made.thought:
        return False
    given, wanted = answer(reply), made.answer
    if made.kind == "function":
        given, wanted = (each.partition("\n\nassert")[0] for each in (given, wanted))
    return given == wanted


def valid(made: Example, reply: str) -> bool:
    """Whether the answer is JSON under the schema of what was asked for, its content right or wrong."""
    assert made.pair is not None, "a record says what it is of"
    return records.KINDS[made.pair[0]].accepts(answer(reply))


@torch.no_grad()
def replies(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: list[Example], rows: int = 20) -> list[str]:
    """The greedy reply to each request, its markers included."""
    told: list[str] = []
    for start in range(0, len(asked), rows):
        prompts = [each.prompt_text() for each in asked[start : start + rows]]
        given = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left").to(model.device)
        generated = model.generate(**given, max_new_tokens=NEW_TOKENS, do_sample=False, tokenizer=tokenizer)  # type: ignore[operator]
        new = generated[:, given["input_ids"].shape[1] :]
        told += [text.split(markers.END)[0] + markers.END for text in tokenizer.batch_decode(new)]
    return told


def exact_match(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: list[Example]) -> float:
    """The share of requests whose greedy reply holds the right answer."""
    return share(right, asked, replies(model, tokenizer, asked))


def share(holds: Callable[[Example, str], bool], asked: list[Example], told: list[str]) -> float:
    """The share of replies of which ``holds(example, reply)`` is true."""
    return sum(holds(each, reply) for each, reply in zip(asked, told, strict=True)) / len(asked)
