"""Types as people read them: ``f32[b,5,v]``, read off the example each node ran on."""

from typing import Any

import torch
from torch import Tensor

EXAMPLE_ROWS = 7
"""How many rows examples have: a number no shape is likely to have otherwise, printed as b."""

NAMES = {
    torch.float64: "f64",
    torch.float32: "f32",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.bool: "bool",
}


def type_of(value: Any, vocab: int) -> str:
    """The type of a value; a leading dimension of the example's rows is b, a last one of the vocabulary's size is v."""
    if isinstance(value, Tensor):
        dims = [str(d) for d in value.shape]
        if dims and value.shape[0] == EXAMPLE_ROWS:
            dims[0] = "b"
        if len(dims) > 1 and value.shape[-1] == vocab and value.is_floating_point():
            dims[-1] = "v"
        return f"{NAMES.get(value.dtype, str(value.dtype))}[{','.join(dims)}]"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(type_of(item, vocab) for item in value) + ")"
    return type(value).__name__
