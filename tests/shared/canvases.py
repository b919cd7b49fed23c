"""Static decoding of a canvas written out by hand, and canvas pipelines over table denoisers."""

from dataclasses import dataclass
from functools import cache

import torch

from penstock.backends.eager.lower import lower
from penstock.backends.interpret import Interpreter
from penstock.backends.runtime.runner import Decoder
from penstock.backends.runtime.table_denoiser import TableDenoiser
from penstock.dsl.stage import Stage
from penstock.ir.rows import State
from penstock.ir.runner import Request
from penstock.ir.standin import StandIn
from penstock.ir.state import STATUS
from penstock.library.denoisers.model import ModelDenoiser
from penstock.passes.build import build
from penstock.passes.order import elaborate

V, N = 6, 12
MASK = V
BLANK = [MASK] * N


@dataclass(frozen=True)
class Filled:
    """What became of a canvas; ``when``: the static step that committed each position."""

    tokens: list[int]
    status: str
    steps: int
    when: list[int]


def infill(canvas: list[int], prompts: dict[str, list[int]] | None = None, key: int | None = None) -> Request:
    return Request(prompts or {}, len(canvas), key, canvas=canvas)


def step_of(*stages: Stage, eos: tuple[int, ...] = (), block: int | None = None):
    views = {"m": StandIn("m", V + 1, capabilities=TableDenoiser.capabilities, mask=MASK)}
    return build(elaborate((ModelDenoiser(model="m", block=block), *stages)), views, eos=eos)


@cache
def lowered(*stages: Stage, block: int | None = None):
    graph = step_of(*stages, block=block)
    return graph, lower(graph)


def filled(state: State) -> list[Filled]:
    seq = state["seq"]
    columns = (seq.tokens, seq.length, seq.status, seq.steps, seq.when)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Filled(t[:n], STATUS[status], steps, when[:n]) for t, n, status, steps, when in rows]


def fill(model: TableDenoiser, rows: list[Request], *stages: Stage, block: int | None = None, step=None) -> list[Filled]:
    graph, eager = (step_of(*stages, block=block), None) if step == "fresh" else lowered(*stages, block=block)
    if eager is None:
        eager = lower(graph)
    run = (lambda *handles: Interpreter().run(graph.graph, handles)) if step == "interpreter" else eager
    decoder = Decoder(graph, {"m": model}, run)
    return filled(decoder.generate(decoder.start(rows)))


def static(model, canvas, prompt=(), *, per_step=1, threshold=2.0, by_text=False, block=None, lean=0.0):
    """``(tokens, when, forwards)`` of static decoding, position by position."""
    x, when, t = list(canvas), [-1] * len(canvas), 0
    while MASK in x:
        logits = model.from_scratch(model.embed(torch.tensor([*prompt, *x])))[len(prompt) :]
        logits[:, MASK], logits[:, 0] = -torch.inf, logits[:, 0] + lean
        conf, token = logits.softmax(-1).amax(-1).tolist(), logits.argmax(-1).tolist()
        size = block or len(x)
        cursor = x.index(MASK) // size if block else 0
        masked = [i for i in range(len(x)) if x[i] == MASK and (i // size == cursor)]
        masked.sort(key=lambda i: i if by_text else (-conf[i], i))
        for i in masked[: max(per_step, sum(conf[j] >= threshold for j in masked))]:
            x[i], when[i] = token[i], t
        t += 1
    return x, when, t


def reordering() -> TableDenoiser:
    """Once position 0 is there, position 2 is surer than position 1; no token changes."""
    model = TableDenoiser(V, 0, 3, pair=0.0)
    model.bias.zero_()
    model.bias[[0, 1, 2], [1, 2, 3]] = torch.tensor([4.0, 3.0, 2.0], dtype=torch.float64)
    model.pair[2, 0, 1, 3] = 3.0
    return model
