"""Kernels of the host, called as their ops' meanings are: what tests of them share."""

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from penstock.backends.eager.places import Kernel
from penstock.ir.ops import forward, pacing, sequence

V = 50
STATEFUL = {forward.forward, forward.keep, forward.keep_first, sequence.append, sequence.look, sequence.put, pacing.started}
"""Ops that change handles, or read them."""


def floats(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3


def as_wanted(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A kernel called with tensors, each put where it wants it, and its results as tensors."""
    bound = kernel.signature.bind(*args, **kwargs)
    for name, value in bound.arguments.items():
        put = {"numbers": Tensor.tolist, "columns": lambda x: x.unbind(1), "tensor": lambda x: x}[kernel.place(name)]
        bound.arguments[name] = pytree.tree_map(lambda x, put=put: put(x) if isinstance(x, Tensor) else x, value)
    out = kernel.run(*bound.args, **bound.kwargs)
    back = {"numbers": torch.tensor, "columns": lambda x: torch.stack(tuple(x), 1), "tensor": lambda x: x}
    results = out if len(kernel.gives) > 1 else (out,)
    found = tuple(back[place](value) for place, value in zip(kernel.gives, results, strict=True))
    return found if len(found) > 1 else found[0]
