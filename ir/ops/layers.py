"""Ops on the states that layers leave."""

import torch
from jaxtyping import Float
from torch import Tensor

from penstock.ir.op import op
from penstock.ir.state import View


@op(borrows=1)
def head(view: View, states: Float[Tensor, "B *N W"]) -> Float[Tensor, "B *N V"]:
    """The logits that the view's model would give if a layer that left these states were its last."""
    return view.model.head(states)


@op()
def layers_of(*states: Float[Tensor, "B S W"]) -> Float[Tensor, "B L S W"]:
    """The states of several layers, one after the other."""
    return torch.stack(states, 1)
