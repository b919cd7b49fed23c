"""What is drawn at one site of one row, compiled from logits to token: a walk on the host calls it where it comes.

The rule's own code is run on tensors, as it is when all rows walk in lockstep. One shape serves every batch.
"""

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from penstock.backends.eager.places import from_numbers
from penstock.backends.eager.walk import Walk
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.sites import Composing, Site
from penstock.ir.noise import address
from penstock.ir.ops.exposed import earliest, signed
from penstock.ir.ops.logits import softmax
from penstock.ir.region import Region
from penstock.ir.rules import Rule


class Choice:
    """``choice(walk, b, d, site, kids)``: the token of row b, d below the root, by a rule that tests no children."""

    def __init__(self, region: Region, composing: Composing, artefacts: Artefacts) -> None:
        self.rule: Rule = region.data["rule"]
        self.composing = composing
        self.compiled = artefacts.add(self.selected, region.data["stage"])

    def __call__(self, walk: Walk, b: int, d: int, site: int, kids: list[int]) -> int:
        composed: Site = walk.composed  # type: ignore[assignment]
        word = signed(address(walk.key[b], walk.stage, "select", (walk.length[b] + d,)), 64)
        (chosen,) = self.compiled(from_numbers([word], np.int64), *composed.reads(b, site))
        if (token := int(chosen)) < 0:
            raise walk.unsupported(b, site)
        return token

    def selected(self, word: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
        """The address ``[1]`` of the draw and what a site's logits are made of, to a token ``[1]``."""
        logits = Site(self.composing.graph, pytree.tree_unflatten(leaves, self.composing.tree), torch.Size((1, 1))).whole()
        weights = self.rule.rest(self.rule.begin(softmax(logits[:, 0]), None, None))
        return (earliest(weights, word),)
