"""A model whose forwards over few columns run compiled, a shape at a time; attention and all else stay the model's own.

A forward is as wide as a draft, so there are few shapes: rows are padded to a power of two, columns to the next of a short list.
A shape is compiled once it has been met often enough to be one of a step's, and must then repeat an answer of the module's.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from penstock.backends.inductor.artefact import Artefacts, built_of, reason
from penstock.backends.inductor.layout import bucket
from penstock.backends.inductor.toolchain import compiler, hits
from penstock.ir.host import Feed, Forwarded, Model

COLUMNS = (1, 2, 3, 5, 8, 12, 17)
"""How many columns a compiled forward has; wider ones are prefill, or work enough for the module not to matter."""
WIDEST = 136
"""Columns of all rows: eight rows of a tree of 16 nodes and its root."""
MET = 3
"""How often a shape is met before it is compiled: those of a prompt are met once."""
ROUNDING = 1e-4
"""How far, in parts of the largest logit, a compiled forward may be from the module: sums are in another order, no more."""
ROUGH = (torch.bfloat16, torch.float16)
"""Types whose roundings are far from 1e-5, the margin beyond which no backend may change a token."""
MOST = 8
"""Shapes that one model is compiled for."""

Shape = tuple[int, int]
Run = Callable[[Any, Feed], Forwarded]


class CompiledModel:
    """A `Model` that answers what its module answers, up to rounding."""

    def __init__(self, own: Any, artefacts: Artefacts) -> None:
        self.own, self.report, self.title = own, artefacts.report, f"the forward of {own.name}"
        self.met, self.made = Counter[Shape](), dict[Shape, Run]()

    def __getattr__(self, name: str) -> Any:
        """All else is the model's own."""
        return getattr(self.own, name)

    def forward(self, cache: Any, feed: Feed) -> Forwarded:
        """Write each column to its slot, then attend as ``visible`` says."""
        shape = shape_of(feed)
        run = self.made.get(shape) if shape else None
        if run is not None:
            return run(cache, feed)
        answer: Forwarded = self.own.forward(cache, feed)
        if shape and not self.refused:
            self.meet(shape, cache, feed, answer)
        return answer

    @property
    def refused(self) -> bool:
        """Whether no more shapes are compiled; the report says why."""
        return self.title in self.report.refused

    def meet(self, shape: Shape, cache: Any, feed: Feed, answer: Forwarded) -> None:
        """Compile for a shape that is met often enough, unless it answers otherwise than the module just did."""
        self.met[shape] += 1
        if self.met[shape] < MET:
            return
        if len(self.made) == MOST:
            self.report.refused[self.title] = f"it was met with more than {MOST} shapes"
            return
        begun, before = perf_counter(), hits()
        try:
            run = self.compiled(shape)
            check(run(cache, feed).logits[:, -answer.logits.shape[1] :], answer.logits)  # which may be of the last columns alone
        except Exception as problem:  # whatever a model, tracing or a C++ compiler may object to: the module means the same
            self.report.refused[self.title] = reason(problem)
            return
        self.made[shape] = run
        self.report.forwards += 1
        self.report.cached += hits() > before
        self.report.seconds += perf_counter() - begun

    def compiled(self, shape: Shape) -> Run:
        """`forward` for feeds that fit a shape."""
        columns = self.own.columns(*shape)
        if rough := [x.dtype for x in columns.held if x.dtype in ROUGH]:
            raise TypeError(f"it computes in {rough[0]}, and a fused op would not round where its own ops do")
        blank = torch.zeros(shape, dtype=torch.int64, device=columns.held[0].device)
        run = built_of(columns.graph, [blank, blank.clone(), *columns.held])

        def answer(ids: Tensor, positions: Tensor) -> Tensor:
            rows, width = ids.shape
            out = run(widened(ids, shape), widened(positions, shape), *columns.held)
            return out[:rows, shape[1] - width :]

        return lambda cache, feed: self.own.forward_by(answer, columns.rules, cache, feed)


def shape_of(feed: Feed) -> Shape | None:
    """The shape that a feed is compiled for; None for what is left to the module: what is wide, and all that is not plain."""
    plain = feed.embeds is None and feed.layers is None and feed.hidden is None and not feed.want_hidden
    rows, columns = bucket(len(feed.ids)), next((n for n in COLUMNS if n >= feed.ids.shape[1]), WIDEST + 1)
    return (rows, columns) if plain and rows * columns <= WIDEST else None


def widened(x: Tensor, shape: Shape) -> Tensor:
    """Columns ``[b,n]`` with others before them and rows after them, which nobody reads and which write nowhere."""
    rows, columns = x.shape
    return x.contiguous() if (rows, columns) == shape else pad(x, (shape[1] - columns, 0, 0, shape[0] - rows))


def check(found: Tensor, wanted: Tensor) -> None:
    """Raises ValueError where two answers differ by more than rounding."""
    apart, scale = (found - wanted).abs().max(), wanted.abs().max()
    if not apart <= ROUNDING * scale:
        raise ValueError(f"compiled, its logits are off by {float(apart):.3g}, where the largest is {float(scale):.3g}")


def with_forwards(models: Mapping[str, Model], artefacts: Artefacts) -> dict[str, Model]:
    """The models of views, those compiled that can be, given a C++ compiler; a model of several views stays one."""
    if compiler() is None:
        return dict(models)
    once = {id(model): CompiledModel(model, artefacts) for model in models.values() if hasattr(model, "columns")}
    return {view: once.get(id(model), model) for view, model in models.items()}  # type: ignore[misc]
