"""What a pipeline is run with; imports nothing heavy, since the command line reads it before it knows what is asked."""

from dataclasses import dataclass
from typing import Literal, get_args

from penstock.ir.errors import PenstockError

Backend = Literal["auto", "eager", "inductor", "lockstep", "interpret"]
Dtype = Literal["auto", "float32", "bfloat16", "float16", "float64"]
BACKENDS: tuple[str, ...] = get_args(Backend)
DTYPES: tuple[str, ...] = get_args(Dtype)
BATCH = 8
"""Prompts that are decoded together where nothing else is said."""


@dataclass(frozen=True)
class Means:
    """What a pipeline is run with."""

    backend: Backend = "auto"
    """``auto`` is eager; inductor compiles what tokens are drawn from, and forwards over few columns; lockstep does so as a
    device wants it, all rows at once and one read a step, whatever is faster here; interpret runs every op by its meaning,
    slowly."""
    device: str = "cpu"
    dtype: Dtype = "auto"
    """What models compute in; ``auto`` is float32."""
    without: tuple[str, ...] = ()
    """Optimisations that are left out."""

    def __post_init__(self) -> None:
        for what, value, known in (("backend", self.backend, BACKENDS), ("dtype", self.dtype, DTYPES)):
            if value not in known:
                raise PenstockError(f"there is no {what} {value!r}", fix=f"name one of {', '.join(known)}")
        if self.device != "cpu":
            raise PenstockError(f"device {self.device!r}: the eager backend decodes on the CPU", fix="leave device out")

    @property
    def computed_in(self) -> str:
        """The type of models' numbers."""
        return "float32" if self.dtype == "auto" else self.dtype
