"""What nodes are typed on: examples, of which those as wide as a large vocabulary are types alone.

Nothing about a node's type hangs on the numbers in logits, and to sort 128,256 of them for every rule that is put takes seconds.
So a wide example is a tensor without values (torch calls its device meta): ops on it are done on shapes. Where values are asked
for, as by a stage's own code, they are ones.
"""

import operator
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from penstock.ir import tracing
from penstock.ir.lift import HOLDING
from penstock.ir.op import Op

WIDE = 32768
"""Examples with more columns than this have no values."""


def waves(*shape: int) -> Tensor:
    """Numbers in (-1, 1), no two near each other alike, so that lints can tell rows; of wide ones the type alone."""
    if shape[-1] > WIDE:
        return torch.empty(shape, device="meta")
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).sin().view(shape)


def evaluated(target: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """A node's value: a method of its first argument, by name, or a function."""
    return getattr(args[0], target)(*args[1:], **kwargs) if isinstance(target, str) else target(*args, **kwargs)


def made_of_examples(target: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The example of what a node makes of these. Raises what its target raises."""
    with tracing.recording(None):
        if target is operator.getitem and isinstance(args[0], tuple | list):
            return args[0][args[1]]  # one of several results, as it is
        if any(map(valueless, pytree.tree_leaves((args, kwargs)))):
            if arithmetic(target):
                with suppress(Exception):  # it asks for values, or is a mistake, which shows again below
                    return everywhere(narrow_valued, on_shapes(target, args, kwargs))
            args, kwargs = valued((args, kwargs))
        return everywhere(wide_valueless, evaluated(target, args, kwargs))


def on_shapes(target: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What a node makes, as types alone."""
    with torch.device("meta"):
        return evaluated(target, *everywhere(to_meta, (args, kwargs)))


def arithmetic(target: Any) -> bool:
    """Whether a target computes with tensors, and does not run what a stage has written."""
    return isinstance(target, Op) and target.category == "tensor" and target not in HOLDING


def valued(examples: Any) -> Any:
    """Examples of the same types that all have values."""
    return everywhere(lambda x: filled(x) if x.is_meta else x, examples)


def valueless(x: Any) -> bool:
    """Whether an example is a type alone."""
    return isinstance(x, Tensor) and x.is_meta


def filled(x: Tensor) -> Tensor:
    """Ones: logits and weights that allow every token; ids are 0, and conditions hold."""
    return torch.full(x.shape, x.is_floating_point() or x.dtype == torch.bool, dtype=x.dtype)


def to_meta(x: Tensor) -> Tensor:
    return x.to("meta")


def narrow_valued(x: Tensor) -> Tensor:
    return x if is_wide(x) else filled(x)


def wide_valueless(x: Tensor) -> Tensor:
    return to_meta(x) if is_wide(x) else x


def is_wide(x: Tensor) -> bool:
    return x.dim() > 1 and x.shape[-1] > WIDE


def everywhere(change: Callable[[Tensor], Tensor], examples: Any) -> Any:
    """Examples with their tensors changed; handles stay the objects that they are."""
    return pytree.tree_map(lambda x: change(x) if isinstance(x, Tensor) else x, examples)
