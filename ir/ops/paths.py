"""The texts that sites stand at, for host code that wants to see them whole."""

from collections.abc import Callable, Sequence as Ids

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.ops.lookup import text_of
from penstock.ir.standin import StandIn
from penstock.ir.state import Sequence, View

Shaping = Callable[[Tensor, Tensor, int], Tensor]
"""``(ids [n,t], logits [n,v], padding) -> logits [n,v]`` of texts of one length; ``padding``: tokens that stood before."""


@op("host", borrows=2, takes_live=True)
def shaped_by_text(
    view: View,
    seq: Sequence,
    logits: Float[Tensor, "B S V"],
    token: Int[Tensor, "B N"] | None,
    parents: tuple[int, ...] | Int[Tensor, "B N"],
    padding: Int[Tensor, "B"] | Float[Tensor, "B"] | int,
    *,
    shape: Shaping,
    live: Bool[Tensor, "B"],
) -> Float[Tensor, "B S V"]:
    """Every site's logits as ``shape`` makes them of its text in the view, those of one row and depth in one call."""
    shaped = logits.clone()
    if isinstance(view.model, StandIn):  # its texts are made up, and `shape` may remember what it is shown
        return shaped
    for row in live.nonzero()[:, 0].tolist():
        text = text_of(view, seq, row)
        nodes = [] if token is None else token[row].tolist()
        above = list(parents) if isinstance(parents, tuple) else parents[row].tolist()
        before = int(padding[row]) if isinstance(padding, Tensor) else padding
        for depth, sites in by_depth(above).items():
            ids = torch.tensor([text + path(nodes, above, site) for site in sites])
            assert ids.shape[1] == len(text) + depth
            shaped[row, sites] = shape(ids, logits[row, sites].clone(), before).to(logits)
    return shaped


def by_depth(parents: Ids[int]) -> dict[int, list[int]]:
    """Sites by how many tokens of the draft stand before them; site 0 is the root, site 1 + i node i."""
    depths = [0]
    for parent in parents:
        depths.append(depths[parent + 1] + 1)
    found: dict[int, list[int]] = {}
    for site, depth in enumerate(depths):
        found.setdefault(depth, []).append(site)
    return found


def path(tokens: Ids[int], parents: Ids[int], site: int) -> list[int]:
    """The draft's tokens from the root to a site."""
    found, node = [], site - 1
    while node >= 0:
        found.append(tokens[node])
        node = parents[node]
    return found[::-1]
