"""Linear layers over weights that are packed once, for the few columns of a decoding step.

Torch hands a weight to its matrix product as it lies, and a product of a handful of columns then takes three times as long as it
need (the columns of a draft, measured on an AMD EPYC). oneDNN can lay a weight out beforehand, which torch's own compiler does
with frozen weights; here every linear layer of a model gets such a copy. Layers that are asked about the same columns share one
product, because being asked is much of what a small one costs. Sums are rounded in another order: a logit moves by as much as it
does between one column and two.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from penstock.backends.runtime.hf.together import asked_together
from penstock.backends.runtime.memory import free_memory

FEW = 1 << 17
"""Products of numbers below which torch is faster: handing a call to oneDNN takes about 12 us. Measured with weights that come
from outside of the nearest caches, as they do where a model is more than one layer."""
SPARE = 0.5
"""The share of the free memory that copies may take."""
multiply: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


class Product:
    """What layers compute that are asked about the same columns, ``[..., i] -> [..., o]`` each: all of it with the first."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        weights = [layer.weight.detach() for layer in layers]
        biases = [torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach() for layer in layers]
        self.sizes = [len(weight) for weight in weights]
        self.few = FEW / sum(self.sizes)
        self.bias = None if all(layer.bias is None for layer in layers) else torch.cat(biases)
        self.packed = torch.ops.mkldnn._reorder_linear_weight(torch.cat(weights), None)
        self.known: tuple[Tensor | None, Sequence[Tensor]] = None, ()
        """The columns that were asked about, and what the layers make of them, until the last of these was told."""

    def of(self, x: Tensor, place: int) -> Tensor:
        """What the layer in that place makes of the columns."""
        columns, told = self.known
        if columns is not x:
            out = multiply(x, self.packed, self.bias, "none", [], "")
            told = out.split(self.sizes, -1) if len(self.sizes) > 1 else (out,)
        self.known = (None, ()) if place == len(told) - 1 else (x, told)
        return told[place].contiguous()  # some models merge dimensions of what they are told


class PackedLinear:
    """What a linear layer computes, ``[..., i] -> [..., o]``, by whichever of its two weights is faster."""

    def __init__(self, module: nn.Linear, product: Product, place: int) -> None:
        self.weight, self.bias, self.product, self.place = module.weight, module.bias, product, place

    def __call__(self, x: Tensor) -> Tensor:
        if x.numel() < self.product.few or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return linear(x, self.weight, self.bias)
        return self.product.of(x, self.place)


def packed(model: Any) -> Any:
    """The model with a packed copy of every linear layer's weight, where there is room; on the CPU and in float32 alone.

    Its weights must not change from here on: the copies would not.
    """
    layers = [m for m in model.modules() if type(m) is nn.Linear and m.weight.dtype == torch.float32 and m.weight.is_cpu]
    free, wanted = free_memory(), sum(4 * m.weight.numel() for m in layers)
    if layers and can_pack() and (free is None or wanted < SPARE * free):
        for group in asked_together(model, layers):
            product = Product(group)
            for place, layer in enumerate(group):
                layer.forward = PackedLinear(layer, product, place)  # type: ignore[method-assign]
    return model


def can_pack() -> bool:
    """Whether this torch has oneDNN and the operators over packed weights."""
    return torch.backends.mkldnn.is_available() and multiply is not None
