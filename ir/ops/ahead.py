"""The work of a host op in two halves, so that other work can be done between them."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Shaped
from torch import Tensor

from penstock.ir.op import Op, op


@dataclass(slots=True, eq=False)
class Work:
    """A host op at one place of a step."""

    host: Op
    seconds: float = 0.0
    """How long an entry of its result has lately taken here."""

    @property
    def kind(self) -> str:
        """How it is printed."""
        return self.host.name


@op("host")
def begun(work: Work, *args: Any) -> Any:
    """What a host op gives, from here on; a backend may still be working on it when it hands it on."""
    return work.host.meaning(*args)


@op("host")
def awaited(value: Shaped[Tensor, "*B"]) -> Shaped[Tensor, "*B"]:
    """What was begun, when it is there."""
    return value
