"""A pipeline bound to its models, and what it makes of a prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from penstock import resolve
from penstock.backends.eager.lower import lower
from penstock.backends.runtime.runner import Decoded, Decoder, Request, forwards, read
from penstock.dsl.pipeline import Generate, Pipeline
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.host import Text
from penstock.ir.rows import State, row_count
from penstock.passes.order import elaborate
from penstock.testing import views_of
from penstock.traced import traced


@dataclass(frozen=True)
class Result:
    """One continuation."""

    prompt: str
    text: str
    tokens: list[int]
    status: str
    steps: int
    target_forwards: float
    """Forwards that this row's steps made of whatever does not only draft; of some layers only, their share of all."""
    draft_forwards: float
    """The same of what only drafts."""
    taps: dict[str, list[float]] = field(default_factory=dict)
    """What taps read, by name."""

    @property
    def tokens_per_forward(self) -> float:
        return len(self.tokens) / max(self.target_forwards, 1)


class Compiled:
    """A pipeline bound to its models, ready to continue prompts."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        references = pipeline.all_models()
        views = views_of(pipeline.stages)
        self.texts = {name: resolve.text(references[name]) for name in dict.fromkeys(views.values())}
        resolve.one_vocabulary(self.texts)
        target = elaborate(pipeline.stages).scorers[-1].stage.views()
        self.text: Text = self.texts[next(iter(target.values()))]
        loaded = {name: resolve.model(references[name], text) for name, text in self.texts.items()}
        self.pipeline = pipeline = pipeline.but(stages=tuple(stage.knowing(self.text) for stage in pipeline.stages))
        self.step = traced(pipeline, tuple(sorted(self.text.eos)), loaded)
        order = [h.removeprefix("view:") for h in self.step.handles if h.startswith("view:")]
        first = next(iter(target))
        models = {view: loaded[views[view]] for view in sorted(order, key=lambda v: v != first)}
        self.decoder = Decoder(self.step, models, lower(self.step), pipeline.generate.seed)

    def run(
        self,
        prompts: Sequence[str],
        *,
        seed: int | None = None,
        max_new_tokens: int | None = None,
        params: Mapping[str, float | Sequence[float]] | None = None,
    ) -> list[Result]:
        """Continue the prompts as one batch; request parameters are one value for all prompts, or one for each."""
        check_prompts(prompts)
        if not prompts:
            return []
        for stage in self.pipeline.stages:
            stage.forget()
        asked = generate(self.pipeline, seed, max_new_tokens)
        self.decoder.seed, limit = asked.seed, asked.max_new_tokens
        values = request_values(self.pipeline, params or {}, len(prompts))
        requests = [Request(self.views_of(prompt), limit, None, row) for prompt, row in zip(prompts, values, strict=True)]
        state = self.decoder.generate(self.decoder.start(requests))
        rows = zip(prompts, read(state), forwards(state), self.taps(state), strict=True)
        return [self.result(*row) for row in rows]

    def taps(self, state: State) -> list[dict[str, list[float]]]:
        """By row, what taps carry."""
        names = [name for p in self.step.plan.stages if p.stage.role == "tap" for name in p.stage.registers(1, 1)]
        columns = {name: state[f"reg:{name}"].value.tolist() for name in names}  # type: ignore[attr-defined]
        return [{name: column[row] for name, column in columns.items()} for row in range(row_count(state))]

    def result(self, prompt: str, decoded: Decoded, counts: Mapping[str, float], taps: dict[str, list[float]]) -> Result:
        """What became of one prompt."""
        drafted = sum(counts[view] for view in counts if view in self.step.plan.drafting)
        tokens, target = self.ended(decoded.tokens), sum(counts.values()) - drafted
        return Result(prompt, self.text.decode(tokens), tokens, decoded.status, decoded.steps, target, drafted, taps)

    def ended(self, tokens: list[int]) -> list[int]:
        """Up to the first end of text: a canvas goes on after it."""
        end = next((i for i, token in enumerate(tokens) if token in self.text.eos), len(tokens))
        return tokens[: end + 1]

    def views_of(self, prompt: str) -> dict[str, list[int]]:
        """The prompt's ids as every view sees it."""
        declared = self.pipeline.views
        return {
            view: self.text.encode(rewritten(declared[view].prompt, prompt) if view in declared else prompt)
            for view in self.decoder.models
        }


def check_prompts(prompts: Sequence[str]) -> None:
    """Raises PenstockError unless these are several texts: a text is a sequence too, of its characters."""
    if isinstance(prompts, str):
        raise PenstockError("prompts is one text, not a list of them", fix="write [prompt]")
    for row, prompt in enumerate(prompts):
        if not isinstance(prompt, str):
            raise PenstockError(f"prompt {row} is a {type(prompt).__name__}, not a text", fix="give texts")


def generate(pipeline: Pipeline, seed: int | None, max_new_tokens: int | None) -> Generate:
    """What the pipeline's `generate` says, with what a call asks for instead."""
    asked = {name: value for name, value in (("seed", seed), ("max_new_tokens", max_new_tokens)) if value is not None}
    try:
        return Generate.model_validate({**pipeline.generate.model_dump(), **asked})
    except ValidationError as error:
        detail = error.errors()[0]
        name = detail["loc"][0]
        what = f"{name} is {asked[str(name)]!r}: {detail['msg'].replace('Input should', 'it should')}"
        raise PenstockError(what, fix=f"for example {name}={getattr(Generate(), str(name))}") from None


def request_values(pipeline: Pipeline, given: Mapping[str, float | Sequence[float]], rows: int) -> list[dict[str, float]]:
    """Every request parameter of every row: what was given, else its default."""
    known = pipeline.params()
    if not isinstance(given, Mapping):
        raise PenstockError(f"params is a {type(given).__name__}", fix="give values by name, as in {'temperature': 0.8}")
    for name in given:
        if name not in known:
            raise PenstockError(f"no stage has a request parameter {name!r}", fix=f"there are {', '.join(known) or 'none'}")
    columns = {name: given.get(name, p.default) for name, p in known.items()}
    for name, value in columns.items():
        if value is None:
            raise PenstockError(f"request parameter {name} has no value", fix="give it in the request, or a default in the spec")
        if isinstance(value, Sequence) and len(value) != rows:
            raise PenstockError(
                f"request parameter {name} has {len(value)} values for {rows} prompts", fix="give one each, or one"
            )
    for stage in pipeline.every_stage():
        for name, wanted in stage.params().items():
            value = columns[wanted.param]
            for each in value if isinstance(value, Sequence) else [value]:
                check_value(stage, name, wanted.param, each)
    pick = {name: value if isinstance(value, Sequence) else [value] * rows for name, value in columns.items()}
    return [{name: value[row] for name, value in pick.items()} for row in range(rows)]  # type: ignore[arg-type]


def check_value(stage: Stage, field: str, name: str, value: float | None) -> None:
    """A request's value must be one that the field takes as a constant."""
    fields = {info.alias or key: getattr(stage, key) for key, info in type(stage).model_fields.items()}
    try:
        type(stage).model_validate({**fields, field: value})
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        place = f"stage {stage.kind}, field {field}"
        raise PenstockError(f"request parameter {name} is {value}: {reason}", where=place) from None


def rewritten(stage: Stage | None, prompt: str) -> str:
    """A view's own prompt."""
    return prompt if stage is None else str(stage.rewrite(prompt))  # type: ignore[attr-defined]
