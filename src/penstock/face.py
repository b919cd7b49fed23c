"""What people call: load, check, explain, compile, run, certify."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from penstock.backends.enumerate.certify import Certificate, certify as certified
from penstock.decode.asked import Params
from penstock.decode.dialogue import Prompt
from penstock.decode.generation import Generation
from penstock.decode.means import BACKENDS, Backend, Dtype, Means
from penstock.decode.runner import Runner
from penstock.dsl import spec
from penstock.dsl.drawn import pipeline_drawing
from penstock.dsl.param import Param
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.stage import Stage
from penstock.explained import explained, guarantee
from penstock.ir.errors import PenstockError
from penstock.ir.picture.drawing import Drawing
from penstock.ir.picture.mermaid import mermaid
from penstock.ir.picture.step import step_drawing
from penstock.ir.picture.svg import svg
from penstock.ir.show import show as show_graph
from penstock.passes.build import StepGraph
from penstock.passes.order import elaborate
from penstock.rewritten import rewritten
from penstock.testing import small_world
from penstock.traced import traced

SMALL = 3
"""The vocabulary that pipelines are certified over."""
STAGES = ("spec", "ir", "passes")
FORMS: Mapping[str, Callable[[Drawing], str]] = {"text": str, "mermaid": mermaid, "svg": svg}
"""Ways to write a picture down; text is the spec, or the graph's own lines."""


def load(path: str | Path, overrides: Sequence[str] = ()) -> Pipeline:
    """The pipeline of a YAML or JSON spec, with single values replaced, each as ``stage.field=value``.

    Raises PenstockError at its line and column.
    """
    return spec.load(path, overrides)


def check(pipeline: Pipeline) -> StepGraph:
    """That the pipeline means something: stages fit, a step can be traced. Raises PenstockError naming what does not fit."""
    if not isinstance(pipeline, Pipeline):
        raise PenstockError(f"a {type(pipeline).__name__} is no pipeline", fix="give what penstock.load(file) returns")
    return traced(pipeline)


def explain(pipeline: Pipeline) -> str:
    """What the pipeline promises, what elaboration did, and the step as it will run."""
    step = check(pipeline)
    return "\n".join([*explained(pipeline, step), "step", show_graph(step.graph)])


def show(
    pipeline: Pipeline,
    *,
    stage: Literal["spec", "ir", "passes"] = "spec",
    form: Literal["text", "mermaid", "svg"] = "text",
    without: Collection[str] = (),
    backend: Backend = "auto",
) -> str:
    """The pipeline as it was declared (spec), or its step as it was traced and typed (ir): as text, Mermaid or SVG.

    Or, as text, what every optimisation did to the step and why (passes), but for those ``without``; and, with ``backend``
    inductor, what of it is compiled and what stays on the host.
    """
    for what, value, known in (("stage", stage, STAGES), ("form", form, FORMS), ("backend", backend, BACKENDS)):
        if value not in known:
            raise PenstockError(f"there is no {what} {value!r} to show", fix=f"name one of {', '.join(known)}")
    if backend != "auto" and stage != "passes":
        raise PenstockError(f"a backend changes nothing of the stage {stage}", fix="ask for the stage passes, or leave it out")
    if stage == "passes":
        if form != "text":
            raise PenstockError(f"passes are told as text, not as {form}", fix="draw the stage ir, or leave form out")
        return "\n".join(rewritten(check(pipeline), without, backend)) + "\n"
    if form == "text":
        return spec.dump(pipeline) if stage == "spec" else show_graph(check(pipeline).graph) + "\n"
    drawing = pipeline_drawing(pipeline) if stage == "spec" else step_drawing(check(pipeline).graph)
    return FORMS[form](drawing)


def promise(pipeline: Pipeline) -> str:
    """What the pipeline guarantees, relative to its reference."""
    return guarantee(check(pipeline).plan)


def compile(
    pipeline: Pipeline,
    *,
    backend: Backend = "auto",
    device: str = "cpu",
    dtype: Dtype = "auto",
    timed: bool = False,
    models: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> Runner:
    """Check, lower and bind a pipeline; ``timed`` keeps time by stage.

    ``models``: models of transformers that are here already, by the names the pipeline has for them.
    ``without``: optimisations to leave out, by name; tokens are the same.

    Raises PenstockError for models that cannot be loaded or do not share a vocabulary, and for what this machine has not.
    """
    means = Means(backend, device, dtype, tuple(without))
    check(pipeline)
    return Runner(pipeline, means, timed, models)


def run(
    pipeline: Pipeline,
    prompts: Sequence[Prompt] | None = None,
    *,
    seed: int | None = None,
    max_new_tokens: int | None = None,
    params: Params | None = None,
    stop: Sequence[str] | None = None,
) -> list[Generation]:
    """Continue prompts, by default the spec's own."""
    runner = compile(pipeline)
    chosen = pipeline.prompts if prompts is None else prompts
    if not chosen:
        raise PenstockError("no prompt", fix="give --prompt, or `prompts:` in the spec")
    return runner.generate(chosen, seed=seed, max_new_tokens=max_new_tokens, params=params, stop=stop)


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
