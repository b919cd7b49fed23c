"""What is drawn at one site of one row, compiled from logits to token: a walk on the host calls it where it comes.

A rule that tests no children draws from the target itself, and whoever has the race is found by bounds. One shape serves every
batch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from penstock.backends.eager.places import from_numbers
from penstock.backends.eager.walk import Walk
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.foremost import UNSURE, foremost
from penstock.backends.inductor.sites import Composing, Site
from penstock.ir.noise import address
from penstock.ir.ops.exposed import earliest, signed
from penstock.ir.ops.logits import softmax


class Choice:
    """``choice(walk, b, d, site, kids)``: the token of row b, d below the root, by a rule that tests no children."""

    def __init__(self, stage: str, composing: Composing, artefacts: Artefacts) -> None:
        self.composing = composing
        self.compiled = artefacts.add(self.by_bounds, stage)

    def __call__(self, walk: Walk, b: int, d: int, site: int, kids: list[int]) -> int:
        composed: Site = walk.composed  # type: ignore[assignment]
        word = from_numbers([signed(address(walk.key[b], walk.stage, "select", (walk.length[b] + d,)), 64)], np.int64)
        leaves = composed.reads(b, site)
        token = int(self.compiled(word, *leaves)[0])
        if token == UNSURE:
            token = int(earliest(softmax(self.logits(leaves)), word))
        if token < 0:
            raise walk.unsupported(b, site)
        return token

    def by_bounds(self, word: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
        """The address ``[1]`` of the draw and what a site's logits are made of, to a token ``[1]``."""
        return (foremost(self.logits(leaves), word),)

    def logits(self, leaves: Sequence[Tensor]) -> Tensor:
        """``[1,v]``."""
        return Site(self.composing.graph, pytree.tree_unflatten(leaves, self.composing.tree), torch.Size((1, 1))).whole()[:, 0]
