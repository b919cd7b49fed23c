"""The decode loop of canvases: start infillings as rows, step until none is live."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from penstock.ir.canvas import Canvas, new_canvas
from penstock.ir.host import Model
from penstock.ir.noise import request_key
from penstock.ir.rows import State
from penstock.ir.state import RUNNING, STATUS, new_view
from penstock.passes.build import StepGraph


@dataclass(frozen=True)
class Infill:
    """One row to decode: a canvas, masked where tokens are wanted, and the prompt before it by view, empty if not named."""

    canvas: Sequence[int]
    prompts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    key: int | None = None


@dataclass(frozen=True)
class Filled:
    """What became of a row."""

    tokens: list[int]
    status: str
    steps: int
    """Steps the row took, one forward each."""
    when: list[int]
    """The static step that committed each position."""


class CanvasDecoder:
    """A step graph on a canvas bound to models; ``mask`` is the id that stands for what is wanted."""

    def __init__(
        self,
        graph: StepGraph,
        models: Mapping[str, Model],
        step: Callable[..., tuple[Any, ...]],
        *,
        mask: int,
        block: int | None = None,
        seed: int = 0,
    ) -> None:
        self.graph, self.models, self.step, self.mask, self.block, self.seed = graph, models, step, mask, block, seed

    def start(self, requests: Sequence[Infill]) -> State:
        """A state with one row a request."""
        canvases = [list(r.canvas) for r in requests]
        keys = [request_key(self.seed, r.canvas, i) if r.key is None else r.key for i, r in enumerate(requests)]
        canvas = new_canvas(canvases, self.mask, key=torch.tensor(keys), block=self.block)
        state: State = {"canvas": canvas}
        for name, model in self.models.items():
            prompts = [list(r.prompts.get(name, ())) for r in requests]
            view = new_view(model, [prompt or [0] for prompt in prompts], canvas.tokens.shape[1])
            view.prefix_length = torch.tensor([len(prompt) for prompt in prompts])
            state[f"view:{name}"] = view
        return state

    def generate(self, state: State) -> State:
        """Step until no row is live."""
        handles = [state[name] for name in self.graph.handles]
        place = self.graph.handles.index("canvas")
        with torch.inference_mode():
            while RUNNING in handles[place].status.tolist():  # type: ignore[attr-defined]
                handles = list(self.step(*handles))
        return dict(zip(self.graph.handles, handles, strict=True))

    def fill(self, requests: Sequence[Infill]) -> list[Filled]:
        """Start, generate, read."""
        return read(self.generate(self.start(requests)))


def read(state: State) -> list[Filled]:
    """Each row's canvas and status."""
    canvas = state["canvas"]
    assert isinstance(canvas, Canvas)
    columns = (canvas.tokens, canvas.length, canvas.status, canvas.steps, canvas.when)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Filled(t[:n], STATUS[status], steps, when[:n]) for t, n, status, steps, when in rows]
