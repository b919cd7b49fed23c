"""Several feeds in one call of a model answer what calls of their own answer, and leave every cache as these do."""

import pytest
import torch
from architectures import ARCHITECTURES
from tiny_models import chain, tree
from torch import Tensor

from penstock.backends.runtime.hf import HuggingFaceModel, wrapped
from penstock.ir.host import Feed

DRIVEN = [architecture for architecture in ARCHITECTURES if architecture.driven == "attention"]
TEXTS = [[1, 2, 3, 4, 5, 6, 7], [11, 12, 13]], [[31, 32], [41, 42, 43, 44, 45]]
"""By view and row; longer than the windows and shorter, and the views disagree about who is longer."""
SLOTS = 24, 17
PARENTS = [-1, 0, 0, 2]
NODES = [[50, 51, 52, 53], [60, 61, 62, 63]]


def feeds() -> list[Feed]:
    """The same draft behind both views' texts; the second view has a token of text due before it, in one row."""
    first = tree(NODES, PARENTS, [7, 3], SLOTS[0])
    gap, nodes = chain([[70], [71]], [2, 5], SLOTS[1], void=1), tree(NODES, PARENTS, [3, 6], SLOTS[1])
    parts = zip(*((f.ids, f.slots, f.positions, f.visible) for f in (gap, nodes)), strict=True)
    return [first, Feed(*(torch.cat(part, 1) for part in parts))]


def caches(model: HuggingFaceModel) -> list:
    made = [model.new_cache(2, slots) for slots in SLOTS]
    for cache, texts, slots in zip(made, TEXTS, SLOTS, strict=True):
        model.forward(cache, chain(texts, [0, 0], slots))
    return made


def calls_of(model: HuggingFaceModel) -> list[tuple[int, ...]]:
    """Where the shape of every call of the model inside is noted."""
    seen: list[tuple[int, ...]] = []
    model.model.get_input_embeddings().register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape)))
    return seen


def real(cache) -> list[Tensor]:
    """What a cache holds but for its trash slot."""
    return [part.buffer[..., :-1, :] for part in getattr(cache, "parts", [cache])] + [cache.positions[:, :-1]]


def alike(model: HuggingFaceModel) -> None:
    apart, together = caches(model), caches(model)
    truth = [model.forward(cache, feed) for cache, feed in zip(apart, feeds(), strict=True)]
    found = model.forward_stacked(together, feeds())
    for one, other in zip(truth, found, strict=True):
        torch.testing.assert_close(one.logits[0], other.logits[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(one.logits[1, -4:], other.logits[1, -4:], atol=1e-4, rtol=1e-4)
    for one, other in zip(apart, together, strict=True):
        for held, kept in zip(real(one), real(other), strict=True):
            torch.testing.assert_close(held, kept, atol=1e-4, rtol=1e-4)


APART = {"DeepSeek-V2", "DeepSeek-V3", "DiffLlama", "Doge", "JetMoE"}
"""Architectures that make something of the keys, values or mask that they are given before they attend."""


def params(stacking: bool) -> list:
    wanted = [a for a in DRIVEN if (a.title not in APART) == stacking]
    return [pytest.param(a, id=a.title, marks=pytest.mark.full if a.extra else []) for a in wanted]


@pytest.mark.parametrize("architecture", params(True))
def test_an_architecture_answers_alike_in_one_call(architecture):
    model = wrapped(architecture.model(noise=0.3), architecture.title)
    calls = calls_of(model)
    alike(model)
    assert calls[-1] == (4, 6), "two views of two rows, as wide as the wider"


@pytest.mark.parametrize("architecture", params(False))
def test_an_architecture_that_bends_what_its_cache_gave_is_found_out(architecture):
    assert "stack" not in wrapped(architecture.model(noise=0.3), architecture.title).capabilities


def test_logits_that_no_part_reads_are_left_out():
    """Each part reads the columns that it asks for, and the head is run on no more than the most that any does."""
    model = wrapped(next(a for a in DRIVEN if a.title == "Llama").model(noise=0.3), "llama")
    rows: list[int] = []
    model.model.get_output_embeddings().register_forward_hook(lambda module, inputs, output: rows.append(output.shape[1]))
    whole, fewer = model.forward_stacked(caches(model), feeds()), feeds()
    for feed, read in zip(fewer, (1, 3), strict=True):
        feed.read = read
    found = model.forward_stacked(caches(model), fewer)
    assert rows[-1] == 3 and rows.count(6) == 1
    for read, every, asked in zip((1, 3), whole, found, strict=True):
        torch.testing.assert_close(asked.logits, every.logits[:, -read:])
