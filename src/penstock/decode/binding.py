"""A pipeline bound to its models: what loads once and decodes many times."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from operator import rshift
from typing import Any

import torch

from penstock import resolve
from penstock.backends.eager import lower as eager
from penstock.backends.eager.clock import Clock, Tick
from penstock.backends.inductor import lower as inductor
from penstock.backends.inductor.artefact import Artefacts, Report
from penstock.backends.inductor.forwards import with_forwards
from penstock.backends.interpret import interpreted
from penstock.backends.runtime.runner import Decoder, Request
from penstock.decode.means import Means
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.host import Model, Text
from penstock.ir.rows import State
from penstock.passes.build import StepGraph
from penstock.passes.order import elaborate
from penstock.predicted import check_memory
from penstock.testing import views_of
from penstock.traced import traced


@dataclass(frozen=True)
class Loaded:
    """The models of a pipeline and their tokenizers, by model name; ``target`` is the name of the one that is decoded."""

    models: dict[str, Model]
    texts: dict[str, Text]
    target: str

    @property
    def text(self) -> Text:
        """The target's tokenizer."""
        return self.texts[self.target]

    @classmethod
    def of(cls, pipeline: Pipeline, means: Means, given: Mapping[str, Any] | None = None) -> "Loaded":
        """Load what the pipeline names, but for the models of transformers that are ``given`` by name.

        Raises PenstockError for what cannot be loaded, for names that there are not, and for different vocabularies.
        """
        if not isinstance(given or {}, Mapping):
            raise PenstockError(f"models is a {type(given).__name__}, not models by name", fix="give {name: model}")
        references = pipeline.all_models()
        check_memory({name: each for name, each in references.items() if name not in (given or {})}, means.computed_in)
        texts = {name: resolve.text(references[name]) for name in dict.fromkeys(views_of(pipeline.stages).values())}
        resolve.one_vocabulary(texts)
        target = next(iter(elaborate(pipeline.stages).scorers[-1].stage.views().values()))
        other = [name for name in given or {} if name not in texts]
        if other:
            raise PenstockError(f"no stage decodes with a model {other[0]!r}", fix=f"the models are {', '.join(texts)}")
        here, dtype = given or {}, getattr(torch, means.computed_in)
        once = cache(lambda reference, name: resolve.model(reference, texts[name], dtype))
        first = {reference: name for name, reference in reversed(references.items()) if name in texts}
        models = {
            name: resolve.given(here[name], name, text) if name in here else once(references[name], first[references[name]])
            for name, text in texts.items()
        }
        return cls(models, texts, target)

@dataclass
class Settled:
    """A pipeline whose stages know where they run: what they learn of tokens, models and machine, all its bindings share."""

    pipeline: Pipeline
    running: int = 0
    """Batches that any of them is decoding."""

    @classmethod
    def of(cls, pipeline: Pipeline, loaded: Loaded) -> "Settled":
        """Tell the stages what tokens they shape."""
        return cls(pipeline.but(stages=tuple(stage.knowing(loaded.text) for stage in pipeline.stages)))


@dataclass
class Bound:
    """A lowered step with the models of its views, and the clock that it tells about its stages."""

    step: StepGraph
    decoder: Decoder
    clock: Clock
    settled: Settled
    compiled: Report | None = None
    """What compiling took so far, where the backend compiles."""

    @classmethod
    def of(
        cls,
        settled: Settled,
        loaded: Loaded,
        means: Means,
        timed: bool,
        steering: Sequence[Stage] = (),
        eos: tuple[int, ...] | None = None,
    ) -> "Bound":
        """Trace and lower a pipeline, with more stages behind it, for these models.

        ``eos``: what ends a text, if not what the pipeline or the target's tokenizer says.
        """
        pipeline = reduce(rshift, steering, settled.pipeline)
        ends = pipeline.generate.eos if eos is None else eos
        step = traced(pipeline, tuple(sorted(loaded.text.eos)) if ends is None else ends, loaded.models)
        views, clock = views_of(pipeline.stages), Clock()
        first = next(iter(elaborate(pipeline.stages).scorers[-1].stage.views()))
        named = [handle.removeprefix("view:") for handle in step.handles if handle.startswith("view:")]
        models = {view: loaded.models[views[view]] for view in sorted(named, key=lambda view: view != first)}
        artefacts = Artefacts() if means.backend in ("inductor", "lockstep") else None
        if artefacts is not None:
            models = with_forwards(models, artefacts)
        run = lowered(step, means, clock if timed else None, artefacts)
        decoder = Decoder(step, models, run, pipeline.generate.seed)
        return cls(step, decoder, clock, settled, artefacts.report if artefacts else None)

    def states(self, requests: Sequence[Request]) -> Iterator[State]:
        """The state of a batch as it begins and after every step.

        What stages remember of texts is forgotten once no batch is being decoded, by this binding or another of these stages.
        """
        self.settled.running += 1
        try:
            yield from self.decoder.steps(self.decoder.start(requests))
        finally:
            self.settled.running -= 1
            for placed in self.step.plan.stages if not self.settled.running else ():
                placed.stage.forget()


def lowered(step: StepGraph, means: Means, tick: Tick | None, artefacts: Artefacts | None) -> Any:
    """The step as the backend has it that is asked for."""
    if means.backend == "interpret":
        return interpreted(step)
    if artefacts is not None:
        return inductor.lower(step, artefacts, tick, means.without, means.backend == "lockstep")
    return eager.lower(step, tick, means.without)
