"""What people call: load, check, explain, compile, run, certify."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.backends.enumerate.certify import Certificate, certify as certified
from penstock.compiled import Compiled, Result
from penstock.dsl import spec
from penstock.dsl.param import Param
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.ir.show import show
from penstock.passes.build import StepGraph
from penstock.passes.order import elaborate
from penstock.passes.plan import Plan
from penstock.testing import small_world
from penstock.traced import traced

SMALL = 3
"""The vocabulary that pipelines are certified over."""


def load(path: str | Path) -> Pipeline:
    """The pipeline of a YAML or JSON spec. Raises PenstockError at its line and column."""
    return spec.load(path)


def check(pipeline: Pipeline) -> StepGraph:
    """That the pipeline means something: stages fit, a step can be traced. Raises PenstockError naming what does not fit."""
    if not isinstance(pipeline, Pipeline):
        raise PenstockError(f"a {type(pipeline).__name__} is no pipeline", fix="give what penstock.load(file) returns")
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
        *(f"{p.name}: {p.stage.remark}" for p in step.plan.stages if p.stage.remark),
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
    greedy = plan.kind == "canvas" or any(p.stage.greedy for p in plan.stages)
    return "greedy-exact (same tokens as the reference)" if greedy else "exact (same distribution as the reference)"


def promise(pipeline: Pipeline) -> str:
    """What the pipeline guarantees, relative to its reference."""
    return guarantee(check(pipeline).plan)


def compile(pipeline: Pipeline) -> Compiled:
    """Check, lower and bind a pipeline. Raises PenstockError for models that cannot be loaded or do not share a vocabulary."""
    check(pipeline)
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
    compiled = compile(pipeline)
    chosen = pipeline.prompts if prompts is None else prompts
    if not chosen:
        raise PenstockError("no prompt", fix="give --prompt, or `prompts:` in the spec")
    return compiled.run(chosen, seed=seed, max_new_tokens=max_new_tokens, params=params)


def certify(pipeline: Pipeline) -> Certificate:
    """Prove the pipeline's stages exact over a toy vocabulary, on table models; what means nothing is refused before."""
    check(pipeline)
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
