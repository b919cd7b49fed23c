"""Functions of tensors, compiled once for each list of shapes, and kept between runs by inductor's own cache."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from torch import Tensor, fx

from penstock.backends.inductor.toolchain import building, hits

Function = Callable[..., tuple[Tensor, ...]]
MOST = 6
"""Shapes that one region is compiled for: batch sizes, not the lengths of a text that grows."""


@dataclass
class Report:
    """What compiling took so far."""

    regions: int = 0
    """Regions times the shapes that they were met with."""
    forwards: int = 0
    """Models times the shapes of their forwards."""
    cached: int = 0
    """How many of all these an earlier run had compiled."""
    seconds: float = 0.0
    refused: dict[str, str] = field(default_factory=dict)
    """By region: why it runs uncompiled."""
    walks: dict[str, str] = field(default_factory=dict)
    """By acceptor: how its walk is run, and why."""

    def __str__(self) -> str:
        kept = f", {self.cached} of them from the cache" if self.cached else ""
        forwards = f" and {self.forwards} forwards" if self.forwards else ""
        told = f"{self.regions} regions{forwards} compiled in {self.seconds:.1f} s{kept}"
        return told + "".join(f"; {name} is not compiled: {why}" for name, why in self.refused.items())


class Artefacts:
    """The compiled regions of one pipeline."""

    def __init__(self) -> None:
        self.report = Report()

    def add(self, function: Function, name: str) -> Function:
        """The function, compiled when it is first met with new shapes or types; where that fails, as it is, and told once."""
        made: dict[Any, Function] = {}

        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            shapes = tuple([(x.shape, x.dtype) for x in inputs])
            found = made.get(shapes)
            if found is None:
                found = made[shapes] = self.compiled(function, name, inputs, len(made))
            return found(*[x if x.is_contiguous() else x.contiguous() for x in inputs])

        return run

    def compiled(self, function: Function, name: str, inputs: tuple[Tensor, ...], met: int) -> Function:
        """The function for inputs of these shapes, after ``met`` others."""
        if met == MOST:
            self.refuse(name, f"its inputs had more than {MOST} shapes")
        if name in self.report.refused:
            return function
        begun, before = perf_counter(), hits()
        try:
            found = built(function, [x.contiguous() for x in inputs])
        except Exception as problem:  # whatever tracing or a C++ compiler may object to: the region means the same uncompiled
            self.refuse(name, reason(problem))
            return function
        self.report.regions += 1
        self.report.cached += hits() > before
        self.report.seconds += perf_counter() - begun
        return found

    def refuse(self, name: str, why: str) -> None:
        """From now on the region is met with new shapes uncompiled; told once."""
        self.report.refused[name] = why
        warnings.warn(f"{name} is not compiled: {why}", RuntimeWarning, stacklevel=2)


def built(function: Function, inputs: list[Tensor]) -> Function:
    """Traced on these inputs, so without guards: whoever calls it gives inputs of the same shapes."""
    with building():
        from torch._inductor import standalone_compile
        from torch.fx.experimental.proxy_tensor import make_fx

        graph = make_fx(function)(*inputs)
        return standalone_compile(graph, inputs, dynamic_shapes="from_example_inputs")  # type: ignore[no-any-return]


def built_of(graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Tensor]:
    """A graph that was traced for inputs of these shapes; of tensors laid out in ways of their own it checks nothing."""
    with building():
        from torch._inductor import config, standalone_compile

        with config.patch({"size_asserts": False}):
            return standalone_compile(graph, inputs, dynamic_shapes="from_example_inputs")  # type: ignore[no-any-return]


def reason(problem: Exception) -> str:
    """The first line of what went wrong."""
    return f"{type(problem).__name__}: {str(problem).strip().partition(chr(10))[0]}"
