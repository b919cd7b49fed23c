"""Inputs that are not their token's embedding: `inject` writes a view's override table, which feeding the text reads."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.state import Sequence, View


@op("state", consumes=1, borrows=1, takes_live=True)
def inject(
    view: View, seq: Sequence, vector: Float[Tensor, "B W"], where: Int[Tensor, "B"], *, live: Bool[Tensor, "B"]
) -> tuple[View]:
    """From now on the view reads ``vector`` at suffix position ``where``, in place of the embedding of the token there.

    Slots that have seen the embedding, from there on, are due again.
    """
    if not view.model.width:  # a stand-in for a model that nothing is known of
        return (view,)
    if vector.shape[-1] != view.model.width:
        raise ValueError(f"a vector of {vector.shape[-1]} is no input of {view.model.name}, which is {view.model.width} wide")
    view.allow_overrides(seq.line.shape[1])
    assert view.override is not None and view.overridden is not None
    row = live.nonzero()[:, 0]
    view.cached = torch.where(live, torch.minimum(view.cached, view.prefix_length + where), view.cached)
    view.override[row, where[row]] = vector[row].to(view.override)
    view.overridden[row, where[row]] = True
    return (view,)


@op()
def at_root(values: Any) -> Any:
    """What the root has of values by site: ``[b,s,...] -> [b,...]``."""
    return torch.utils._pytree.tree_map(lambda x: x[:, 0], values)
