"""Shaping logits on the host: the meanings' arithmetic with less around it."""

from functools import lru_cache

import torch
from torch import Tensor

from penstock.ir.ops.logits import scale as scale_op


@lru_cache(maxsize=256)
def constant(value: float, dtype: torch.dtype) -> Tensor:
    """A number as a tensor: torch wraps a Python number anew at every use, which takes as long as 4,000 divisions."""
    return torch.tensor(value, dtype=dtype)


def scale(logits: Tensor, temperature: float | Tensor) -> Tensor:
    if isinstance(temperature, Tensor) or not temperature:
        return scale_op.meaning(logits, temperature)  # type: ignore[no-any-return]
    return logits / constant(temperature, logits.dtype)
