"""Where a value lives while a step runs on the host.

A small tensor of integers or booleans can be *numbers*, nested Python lists with the rows first; a large one ``[b,n,...]`` can
be *columns*, the list of its n columns ``[b,...]``, so that joining and repeating them moves nothing. A kernel's annotations say
which of its parameters and results are which; generated code converts a value where kernels that disagree meet, once.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args, get_type_hints

import numpy as np
import torch
from torch import Tensor, fx

Place = Literal["tensor", "numbers", "columns"]
Numbers = Annotated[Any, "numbers"]
Columns = Annotated[Any, "columns"]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A function that stands for an op on the host, and the places of what it takes and gives."""

    run: Callable[..., Any]
    signature: inspect.Signature
    takes: dict[str, Any]
    """Place by parameter; `Tensor` where the value must be one."""
    gives: tuple[Place, ...]
    """One place a result."""

    @property
    def __name__(self) -> str:
        return self.run.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)

    def place(self, name: str) -> Place:
        """Where a parameter is wanted."""
        found = self.takes.get(name)
        return "tensor" if found is None or found is Tensor else found

    def fits(self, node: fx.Node) -> bool:
        """Whether the values of this call can be where the kernel wants them."""
        bound = self.signature.bind(*node.args, **node.kwargs).arguments
        return all(fitting(self.takes.get(name, "tensor"), value) for name, value in bound.items())


def kernel(run: Callable[..., Any]) -> Kernel:
    """A function as a kernel, by its annotations."""
    hints = get_type_hints(run, include_extras=True)
    result = hints.pop("return", None)
    results = get_args(result) if getattr(result, "__origin__", None) is tuple else (result,)
    takes = {name: Tensor if hint is Tensor else place_in(hint) for name, hint in hints.items()}
    return Kernel(run, inspect.signature(run), takes, tuple(place_in(r) for r in results))


def of_tensors(kernel: Kernel, name: str) -> Kernel:
    """A kernel that takes tensors for one of its parameters, for its function takes either."""
    return replace(kernel, takes=kernel.takes | {name: "tensor"})


def place_in(hint: Any) -> Place:
    """The place that an annotation names, `None` aside."""
    named = [m for part in (hint, *get_args(hint)) for m in getattr(part, "__metadata__", ())]
    return named[0] if named else "tensor"


def fitting(place: Any, value: Any) -> bool:
    """Whether every traced value in an argument can be there: by the example it was typed on."""
    found: list[fx.Node] = []
    fx.node.map_arg(value, found.append)
    return place == "tensor" or all(isinstance(node.meta["example"], Tensor) and KINDS[place](node) for node in found)


def countable(node: fx.Node) -> bool:
    """Whether a value can be numbers: it is small, and not left on a device, which would have to be waited for."""
    x: Tensor = node.meta["example"]
    return not x.is_floating_point() and x.dim() <= 2 and not node.meta.get("resident", False)


KINDS: dict[Any, Callable[[fx.Node], bool]] = {
    Tensor: lambda node: True,
    "numbers": countable,
    "columns": lambda node: node.meta["example"].is_floating_point() and node.meta["example"].dim() > 2,
}


def from_numbers(value: Any, dtype: Any) -> Tensor:
    """Nested lists as a tensor; through numpy, which is three times faster than `torch.tensor` for a few numbers."""
    return torch.from_numpy(np.array(value, dtype))


NUMPY_HAS = frozenset((torch.float32, torch.float64))


def array(logits: Tensor) -> Any:
    """Logits as a numpy array, which has no bfloat16."""
    return logits.numpy() if logits.dtype in NUMPY_HAS else logits.float().numpy()


def code(name: str, home: Place, place: Place, example: Tensor) -> tuple[str, dict[str, Any]]:
    """The expression that gives a value of one place in another, and the names it uses."""
    if home == "numbers":
        dtype = np.bool_ if example.dtype == torch.bool else np.int64
        return f"from_numbers({name}, {dtype.__name__})", {"from_numbers": from_numbers, dtype.__name__: dtype}
    if home == "columns":
        return f"stack({name}, 1)", {"stack": torch.stack}
    return (f"{name}.tolist()" if place == "numbers" else f"{name}.unbind(1)"), {}
