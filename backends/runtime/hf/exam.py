"""Whether a wrapped model goes on as it reads a text: asked once, since what a model type does inside is nobody's promise."""

from typing import Any

import torch
from torch import Tensor

from penstock.backends.runtime.hf.survey import unfit
from penstock.ir.host import Feed

Lines = tuple[tuple[int, ...], ...]
"""A draft, by the path to each node."""
NEXT: Lines = ((0,),)
TREE: Lines = ((0,), (0, 1), (0, 2), (0, 2, 3))
"""One node, two below it, one below the second of these."""
SAME = 1e-2
"""How far, in parts of the largest logit, two ways of reading a text may differ that should not: rounding is far below."""


def examine(model: Any, lines: Lines) -> None:
    """Raises PenstockError where nodes behind a cached text are scored otherwise than the model by itself scores their paths.

    Only in float32: with fewer digits a router may send a token elsewhere, and no difference would tell.
    """
    if model.model.dtype != torch.float32:
        return
    text, nodes = ([(7 * i + k) % model.vocab for i in range(n)] for n, k in ((3, 1), (len(lines), 5)))
    slots = len(text) + len(nodes)
    cache = model.new_cache(1, slots)
    model.forward(cache, line_of(model, text, slots))
    drafted = model.forward(cache, draft_of(model, nodes, lines, len(text), slots)).logits[0]
    for node, path in enumerate(lines):
        alone = by_itself(model, text + [nodes[i] for i in path])
        if not (drafted[node] - alone).abs().max() <= SAME * alone.abs().max():
            raise unfit(model.model, model.name, "goes on otherwise than it reads a text")


def stacks(model: Any) -> bool:
    """Whether two texts of unequal length are read in one call as in calls of their own."""
    texts = [(7 * i + 1) % model.vocab for i in range(3)], [2 % model.vocab]
    feeds = [line_of(model, text, len(text)) for text in texts]
    caches = [[model.new_cache(1, len(text)) for text in texts] for _ in range(2)]
    apart = [model.forward(*each).logits for each in zip(caches[0], feeds, strict=True)]
    try:
        together = [out.logits for out in model.forward_stacked(caches[1], feeds)]
    except Exception:  # whatever a model trips over whose attention wants more than queries, or keys as it made them
        return False
    pairs = zip(apart, together, strict=True)
    return model.model.dtype != torch.float32 or all(bool((a - t).abs().max() <= SAME * a.abs().max()) for a, t in pairs)


@torch.no_grad()
def by_itself(model: Any, tokens: list[int]) -> Tensor:
    """Logits ``[v]`` after a text, as the model is called by anybody: no cache, no slots, no positions."""
    ids = torch.tensor([tokens], device=model.model.device)
    logits: Tensor = model.model(input_ids=ids, use_cache=False).logits
    return logits[0, -1, : model.vocab]


def line_of(model: Any, tokens: list[int], slots: int) -> Feed:
    """A text from its beginning."""
    place = torch.arange(len(tokens))
    return fed(model, tokens, place, place, torch.arange(slots + 1) <= place[:, None])


def draft_of(model: Any, tokens: list[int], lines: Lines, start: int, slots: int) -> Feed:
    """Nodes behind ``start`` tokens of text, each in a slot of its own, at the position of its depth."""
    place, depth = start + torch.arange(len(tokens)), torch.tensor([start + len(path) - 1 for path in lines])
    visible = (torch.arange(slots + 1) < start).repeat(len(tokens), 1)
    for node, path in enumerate(lines):
        visible[node, start + torch.tensor(path)] = True
    return fed(model, tokens, place, depth, visible)


def fed(model: Any, tokens: list[int], slots: Tensor, positions: Tensor, visible: Tensor) -> Feed:
    """One row on the model's device."""
    parts = (torch.tensor(tokens), slots, positions, visible)
    return Feed(*(part[None].to(model.model.device) for part in parts))
