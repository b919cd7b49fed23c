"""What people call: load, check, explain, compile, run, certify."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from penstock import resolve
from penstock.backends.eager.lower import lower
from penstock.backends.enumerate.certify import Certificate, certify as certified
from penstock.backends.runtime.runner import Decoded, Decoder, Request, forwards, read
from penstock.dsl import spec
from penstock.dsl.param import Param
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.dsl.tokens import check_tokens
from penstock.ir.errors import PenstockError
from penstock.ir.host import Model, Text
from penstock.ir.show import show
from penstock.ir.standin import StandIn
from penstock.passes.build import StepGraph, build
from penstock.passes.dead_code import dead_code
from penstock.passes.lint import linear
from penstock.passes.order import elaborate
from penstock.passes.plan import Plan
from penstock.testing import small_world, views_of

SMALL, SOME = 3, 512
"""The vocabulary that pipelines are certified over, and the one that they are checked over where no model's is known."""


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

    @property
    def tokens_per_forward(self) -> float:
        return len(self.tokens) / max(self.target_forwards, 1)


def load(path: str | Path) -> Pipeline:
    """The pipeline of a YAML or JSON spec. Raises PenstockError at its line and column."""
    return spec.load(path)


def traced(pipeline: Pipeline, eos: tuple[int, ...] = (), models: Mapping[str, Model] | None = None) -> StepGraph:
    """The pipeline's step, typed on stand-ins (of the loaded models, or of what their configurations say) and linted."""
    plan = elaborate(pipeline.stages)
    facts = facts_of(pipeline, models or {})
    views = {view: facts[name] for view, name in views_of(pipeline.stages).items()}
    step = build(plan, views, eos=eos)
    dead_code(step.graph)
    linear(step.graph)
    return step


def facts_of(pipeline: Pipeline, loaded: Mapping[str, Model]) -> dict[str, StandIn]:
    """The facts of every model, over one vocabulary that has all tokens which stages name; what is not known is stood in for."""
    references = pipeline.all_models()
    facts = {name: resolve.facts(reference) for name, reference in references.items()}
    facts |= {name: resolve.facts_of(model) for name, model in loaded.items()}
    known = {name: fact for name, fact in facts.items() if fact is not None}
    one_size(known)
    vocab = next((fact.vocab for fact in known.values()), None)
    for stage in pipeline.every_stage() if vocab is not None else ():
        check_tokens(stage, f"stage {stage.kind}", vocab)
    return {name: fact or resolve.unknown(references[name], vocab or SOME) for name, fact in facts.items()}


def one_size(facts: Mapping[str, StandIn]) -> None:
    """Drafts and verdicts are over the same tokens. Raises PenstockError naming two models that differ."""
    if not facts:
        return
    (first, fact), *others = facts.items()
    for name, other in others:
        if other.vocab != fact.vocab:
            raise PenstockError(
                f"models {first} and {name} have {fact.vocab} and {other.vocab} tokens", fix="use models that share a tokenizer"
            )


def check(pipeline: Pipeline) -> StepGraph:
    """That the pipeline means something: stages fit, a step can be traced. Raises PenstockError naming what does not fit."""
    return traced(pipeline)


def explain(pipeline: Pipeline) -> str:
    """What the pipeline promises, what elaboration did, and the step as it will run."""
    step = check(pipeline)
    steering = [p.name for p in step.plan.stages if p.stage.effect == "steers" and p in step.plan.compose]
    lines = [
        f"reference: {' >> '.join(s.kind for s in pipeline.reference().stages)}",
        f"steered by: {', '.join(steering) or 'nothing'}",
        f"guarantee: {guarantee(step.plan)}",
        f"reproducible: {reproducible(step)}",
        *step.plan.notes,
        "step",
        show(step.graph),
    ]
    return "\n".join(lines)


def reproducible(step: StepGraph) -> str:
    """Whether a request's key alone decides its tokens, whatever else is in the batch."""
    sharing = {node.meta["stage"] for node in step.graph.nodes if getattr(node.target, "couples_rows", False)}
    named = ", ".join(sorted(sharing))
    return f"not by request key alone, the rows of a batch share {named}" if sharing else "yes, by request key"


def guarantee(plan: Plan) -> str:
    """Exact in distribution, greedy-exact, or approximate, relative to the reference."""
    approximate = [p.name for p in plan.stages if p.stage.effect == "approximates"]
    if approximate:
        return f"approximate, because of {', '.join(approximate)}"
    greedy = any(p.stage.greedy for p in plan.stages)
    return "greedy-exact (same tokens as the reference)" if greedy else "exact (same distribution as the reference)"


def promise(pipeline: Pipeline) -> str:
    """What the pipeline guarantees, relative to its reference."""
    return guarantee(elaborate(pipeline.stages))


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
        limit = self.pipeline.generate.max_new_tokens if max_new_tokens is None else max_new_tokens
        if limit < 1:
            raise PenstockError(f"max_new_tokens is {limit}", fix="ask for one token or more")
        self.decoder.seed = self.pipeline.generate.seed if seed is None else seed
        values = request_values(self.pipeline, params or {}, len(prompts))
        requests = [Request(self.views_of(prompt), limit, None, row) for prompt, row in zip(prompts, values, strict=True)]
        state = self.decoder.generate(self.decoder.start(requests))
        rows = zip(prompts, read(state), forwards(state), strict=True)
        return [self.result(prompt, decoded, counts) for prompt, decoded, counts in rows]

    def result(self, prompt: str, decoded: Decoded, counts: Mapping[str, float]) -> Result:
        """What became of one prompt."""
        drafted = sum(counts[view] for view in counts if view in self.step.plan.drafting)
        tokens, target = self.ended(decoded.tokens), sum(counts.values()) - drafted
        return Result(prompt, self.text.decode(tokens), tokens, decoded.status, decoded.steps, target, drafted)

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


def request_values(pipeline: Pipeline, given: Mapping[str, float | Sequence[float]], rows: int) -> list[dict[str, float]]:
    """Every request parameter of every row: what was given, else its default."""
    known = pipeline.params()
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
        for field, wanted in stage.params().items():
            value = columns[wanted.param]
            for each in value if isinstance(value, Sequence) else [value]:
                check_value(stage, field, wanted.param, each)
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


def compile(pipeline: Pipeline) -> Compiled:
    """Check, lower and bind a pipeline. Raises PenstockError for models that cannot be loaded or do not share a vocabulary."""
    return Compiled(pipeline)


def run(
    pipeline: Pipeline,
    prompts: Sequence[str] | None = None,
    *,
    seed: int | None = None,
    max_new_tokens: int | None = None,
    params: Mapping[str, float | Sequence[float]] | None = None,
) -> list[Result]:
    """Continue prompts, by default the spec's own."""
    chosen = list(pipeline.prompts if prompts is None else prompts)
    if not chosen:
        raise PenstockError("no prompt", fix="give --prompt, or `prompts:` in the spec")
    return compile(pipeline).run(chosen, seed=seed, max_new_tokens=max_new_tokens, params=params)


def certify(pipeline: Pipeline) -> Certificate:
    """Prove the pipeline's stages exact over a toy vocabulary, on table models."""
    stages = tuple(small(constant(stage)) for stage in pipeline.stages)
    reference = tuple(small(constant(stage)) for stage in pipeline.reference().stages)
    prompted = [name for name, view in pipeline.views.items() if view.prompt is not None]
    world = small_world(stages, vocab=SMALL, eos=(SMALL - 1,), limit=4, batch=2, prompted=prompted)
    return certified(elaborate(stages), elaborate(reference), world)


def constant(stage: Stage) -> Stage:
    """The stage with every request parameter at its default."""
    for field, wanted in stage.params().items():
        if wanted.default is None:
            what = f"stage {stage.kind}, field {field}: parameter {wanted.param} has no default to certify it at"
            raise PenstockError(what, where=stage.place_of(field), fix="give it a default")
    defaults = {name: value.default for name, value in stage.__dict__.items() if isinstance(value, Param)}
    return stage.model_copy(update=defaults) if defaults else stage


def small(stage: Stage) -> Stage:
    """A stage over the toy vocabulary."""
    try:
        return stage.small(SMALL)
    except NotImplementedError as error:
        raise PenstockError(
            str(error), where=stage.source, fix="give the stage a `small(v)`, or certify the rest without it"
        ) from None
