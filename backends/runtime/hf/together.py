"""Which linear layers a model asks about the very same columns: queries, keys and values; a gate and what it gates.

Learnt from one call of two tokens, so that nothing is believed of names.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Question:
    """A layer was asked about these columns."""

    layer: nn.Linear
    columns: Tensor
    held: Tensor
    """What the columns were then: a layer that is asked after somebody wrote into them is asked about others."""


def asked_together(model: Any, layers: Sequence[nn.Linear]) -> list[list[nn.Linear]]:
    """The layers, those together that are asked once each about the same columns; all alone if the model needs more than ids."""
    with asked(layers) as questions, torch.no_grad():
        try:
            model(input_ids=torch.zeros(1, 2, dtype=torch.int64), use_cache=False)
        except Exception:  # what is wrong with it is said by whoever drives it
            questions.clear()
    times, groups = Counter(question.layer for question in questions), list[list[Question]]()
    for question in (each for each in questions if times[each.layer] == 1):
        group = next((known for known in groups if same(known[0], question)), None)
        if group is None:
            groups.append(group := [])
        group.append(question)
    return [[question.layer for question in group] for group in groups] + [[layer] for layer in layers if times[layer] != 1]


def same(first: Question, second: Question) -> bool:
    """Whether two layers are asked the same."""
    return first.columns is second.columns and torch.equal(first.held, second.held)


@contextmanager
def asked(layers: Sequence[nn.Linear]) -> Iterator[list[Question]]:
    """What the layers are asked meanwhile, in order."""
    questions: list[Question] = []

    def note(layer: Any, given: tuple[Tensor, ...]) -> None:
        questions.append(Question(layer, given[0], given[0].clone()))

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        yield questions
    finally:
        for hook in hooks:
            hook.remove()
