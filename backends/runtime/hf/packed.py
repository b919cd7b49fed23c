"""Linear layers over weights that are packed once, for the few columns of a decoding step.

Torch hands a weight to its matrix product as it lies, and a product of a handful of columns then takes three times as long as it
need (the columns of a draft, measured on an AMD EPYC). oneDNN can lay a weight out beforehand, which torch's own compiler does
with frozen weights; here every linear layer of a model gets such a copy. Sums are rounded in another order: a logit moves by as
much as it does between one column and two.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from penstock.backends.runtime.memory import free_memory

FEW = 1 << 19
"""Products of numbers below which torch is faster: handing a call to oneDNN takes about 12 us."""
SPARE = 0.5
"""The share of the free memory that copies may take."""


class PackedLinear:
    """What a linear layer computes, ``[..., i] -> [..., o]``, by whichever of its two weights is faster."""

    def __init__(self, module: nn.Linear) -> None:
        self.weight, self.bias = module.weight, module.bias
        self.few = FEW / len(module.weight)
        self.packed = torch.ops.mkldnn._reorder_linear_weight(module.weight.detach(), None)

    def __call__(self, x: Tensor) -> Tensor:
        if x.numel() < self.few or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return linear(x, self.weight, self.bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return out


def packed(model: Any) -> Any:
    """The model with a packed copy of every linear layer's weight, where there is room; on the CPU and in float32 alone.

    Its weights must not change from here on: the copies would not.
    """
    layers = [m for m in model.modules() if type(m) is nn.Linear and m.weight.dtype == torch.float32 and m.weight.is_cpu]
    free, wanted = free_memory(), sum(4 * m.weight.numel() for m in layers)
    if can_pack() and (free is None or wanted < SPARE * free):
        for module in layers:
            module.forward = PackedLinear(module)
    return model


def can_pack() -> bool:
    """Whether this torch has oneDNN and the operators over packed weights."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
