"""A pipeline beside its reference and beside transformers, on equal models, prompts and settings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

import torch
from transformers import GenerationConfig

from penstock import resolve
from penstock.backends.runtime import hf
from penstock.bench.contenders import Generated, Pipelined, Work
from penstock.bench.counterpart import counterpart
from penstock.bench.machine import machine
from penstock.bench.rounds import Contender, Laps, rounds, whole
from penstock.bench.spread import Spread, ratios
from penstock.decode.dialogue import Prompt
from penstock.decode.means import Means
from penstock.decode.runner import Runner
from penstock.dsl.models import TableModel
from penstock.dsl.pipeline import Pipeline
from penstock.face import constant
from penstock.ir.errors import PenstockError

PIPELINE, REFERENCE, TRANSFORMERS, PLAIN = "pipeline", "reference", "transformers", "transformers, reference"


@dataclass
class Contest:
    """Contenders for one pipeline, and what they have done so far."""

    pipeline: Pipeline
    means: Means
    work: Work
    contenders: dict[str, Contender] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """Who could not be had, and why."""
    laps: Laps = field(default_factory=dict)

    @classmethod
    def of(cls, pipeline: Pipeline, prompts: Sequence[Prompt], batch: int, limit: int | None, means: Means) -> "Contest":
        """Load the models and bind all contenders; prompts are repeated in turn until they fill whole batches.

        Raises PenstockError where the pipeline itself cannot be run.
        """
        rows = list(islice(cycle(prompts), -(-len(prompts) // batch) * batch))
        made = cls(pipeline, means, Work(rows, batch, limit or pipeline.generate.max_new_tokens))
        runner = Runner(pipeline, means, timed=True)
        runner.requests(rows, made.work.limit, None, None)
        made.enter(runner)
        return made

    def enter(self, runner: Runner) -> None:
        """The pipeline, what it is to equal, and transformers' equals of either."""
        self.contenders[PIPELINE] = Pipelined(runner, self.work)
        reference = self.pipeline.reference()
        if reference.stages == self.pipeline.stages:
            self.absent[REFERENCE] = "nothing in the pipeline accelerates: it is its own reference"
        else:
            self.contenders[REFERENCE] = Pipelined(runner.under(reference), self.work)
        self.admit(TRANSFORMERS, self.pipeline, runner)
        if TRANSFORMERS in self.absent and REFERENCE in self.contenders:
            self.admit(PLAIN, reference, runner)

    def admit(self, name: str, pipeline: Pipeline, runner: Runner) -> None:
        """Transformers' generate, told to do the same; or why it cannot."""
        try:
            steady = pipeline.but(stages=tuple(map(constant, pipeline.stages)))
            call = counterpart(steady, self.work.batch)
            references = pipeline.all_models()
            target = self.alone(references[runner.loaded.target])
            assistant = None if call.assistant is None else self.alone(references[call.assistant])
        except PenstockError as error:
            self.absent[name] = error.what
            return
        eos = sorted(runner.text.eos if pipeline.generate.eos is None else pipeline.generate.eos)
        self.contenders[name] = Generated(target, assistant, call, runner, eos, self.work)

    def alone(self, reference: Any) -> Any:
        """A model of transformers as it comes, loaded once more: ours attends by another function."""
        if isinstance(reference, TableModel):
            raise PenstockError(f"transformers has no equal: {reference} is a table", fix="name a model of transformers")
        model = hf.pretrained(resolve.address(reference), getattr(torch, self.means.computed_in))
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]  # what a folder recommends is not what the pipeline says
        return model

    def run(self, count: int) -> Iterator[str]:
        """Measure; tells who is done, as they are done."""
        return rounds(self.contenders, count, self.laps)

    def record(self) -> dict[str, Any]:
        """What was measured in whole rounds, as plain data."""
        laps = whole(self.laps, self.contenders)
        work = self.work
        settings = {"rows": len(work.prompts), "batch": work.batch, "max_new_tokens": work.limit, "prefill": "included"}
        settings |= {"backend": self.means.backend, "dtype": self.means.computed_in, "without": list(self.means.without)}
        measured = {name: summary(each) for name, each in laps.items() if each}
        return {
            "machine": machine(),
            "settings": settings,
            "contenders": measured,
            "faster_than": {name: faster.record() for name, faster in self.faster(laps).items()},
            "same_tokens": {name: same_texts(laps, name) for name in measured if name != PIPELINE},
            "absent": self.absent,
            "spec": self.pipeline.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        }

    def faster(self, laps: Laps) -> dict[str, Spread]:
        """By how much the pipeline's tokens come faster than another's."""
        times = {name: [lap.seconds / max(lap.tokens, 1) for lap in each] for name, each in laps.items()}
        return {name: ratios(each, times[PIPELINE]) for name, each in times.items() if name != PIPELINE and each}


def summary(laps: Any) -> dict[str, Any]:
    """What one contender's laps come to."""
    stages = {stage for lap in laps for stage in lap.stages}
    tokens = sum(lap.tokens for lap in laps)
    return {
        "ms_a_token": Spread.of([1e3 * lap.seconds / max(lap.tokens, 1) for lap in laps]).record(),
        "tokens_a_second": Spread.of([lap.tokens / lap.seconds for lap in laps]).record(),
        "tokens_a_forward": tokens / max(sum(lap.forwards for lap in laps), 1),
        "stages_ms_a_token": {s: 1e3 * sum(lap.stages.get(s, 0.0) for lap in laps) / max(tokens, 1) for s in sorted(stages)},
        "rounds": [lap.record() for lap in laps],
    }


def same_texts(laps: Laps, name: str) -> bool:
    """Whether another contender said in every round what the pipeline did."""
    return all(a.texts == b.texts for a, b in zip(laps[PIPELINE], laps[name], strict=True))
