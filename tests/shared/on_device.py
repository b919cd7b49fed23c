"""Tensors that pretend to lie on a device, and whoever asks what they hold is counted."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

ASKING = ("tolist", "numpy", "item", "cpu", "nonzero", "__bool__", "__int__", "__float__", "__index__", "__array__", "__iter__")
WAITING = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.masked_select.default)


class OnDevice(Tensor):
    """A tensor of a device: what is computed of it is one too, and what is read of it is told."""

    asked: Callable[[str], None] | None = None

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name not in ASKING or not isinstance(args[0], OnDevice):
            return super().__torch_function__(func, types, args, kwargs or {})
        if cls.asked is not None:
            cls.asked(name)
        return func(of_host(args[0]), *args[1:], **(kwargs or {}))


def of_device(values: Any) -> Any:
    """The same tensors, as a device's."""
    return pytree.tree_map_only(Tensor, lambda x: x.as_subclass(OnDevice), values)


def of_host(values: Any) -> Any:
    """The same tensors, as anybody's."""
    return pytree.tree_map_only(OnDevice, lambda x: x.as_subclass(Tensor), values)


class Waits(TorchDispatchMode):
    """Counts what of a device's tensors a host would have to wait for: numbers, and shapes that depend on numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = pytree.tree_leaves((args, kwargs))
        masked = func is torch.ops.aten.index.Tensor and any(x is not None and x.dtype == torch.bool for x in args[1])
        if (func in WAITING or masked) and any(isinstance(x, OnDevice) for x in leaves):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))
