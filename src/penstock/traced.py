"""A pipeline's step, typed on stand-ins of its models and linted: what `check` and `compile` share."""

from collections.abc import Mapping
from typing import Any

from penstock import resolve
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.tokens import check_tokens
from penstock.dsl.views import check_views
from penstock.ir.errors import PenstockError
from penstock.ir.host import Model
from penstock.ir.standin import StandIn
from penstock.passes.build import StepGraph, build
from penstock.passes.dead_code import dead_code
from penstock.passes.lint import linear
from penstock.passes.order import elaborate
from penstock.testing import views_of

SOME = 512
"""The vocabulary that pipelines are checked over where no model's is known."""


def traced(pipeline: Pipeline, eos: tuple[int, ...] = (), models: Mapping[str, Model] | None = None) -> StepGraph:
    """The pipeline's step, typed on stand-ins (of the loaded models, or of what their configurations say) and linted."""
    facts = facts_of(pipeline, models or {})
    views = {view: facts[name] for view, name in views_of(pipeline.stages).items()}
    try:
        step = build(elaborate(pipeline.stages), views, eos=eos, texts=texts_of(pipeline, models or {}))
    except PenstockError as error:
        raise error.at(pipeline.place_of("pipeline")) from error.__cause__
    dead_code(step.graph)
    linear(step.graph)
    return step


def texts_of(pipeline: Pipeline, loaded: Mapping[str, Model]) -> dict[str, int]:
    """A number for each view: the same where model and prompt are, so that they read the same text whatever is asked."""
    references = pipeline.all_models()
    known, found = list[Any](), dict[str, int]()
    for view, name in views_of(pipeline.stages).items():
        model = id(loaded[name]) if name in loaded else references[name]
        declared = pipeline.views.get(view)
        text = model, declared and declared.prompt
        found[view] = known.index(text) if text in known else len(known)
        known.append(text)
    return found


def facts_of(pipeline: Pipeline, loaded: Mapping[str, Model]) -> dict[str, StandIn]:
    """The facts of every model, over one vocabulary that has all tokens which stages name; what is not known is stood in for."""
    references = pipeline.all_models()
    check_views(pipeline)
    declared = pipeline.place_of("models")
    facts: dict[str, StandIn | None] = {}
    for name, reference in references.items():
        try:
            facts[name] = StandIn.of(loaded[name]) if name in loaded else resolve.facts(reference)
        except PenstockError as error:
            raise PenstockError(f"model {name}: {error.what}", where=declared or error.where, fix=error.fix) from None
    known = {name: fact for name, fact in facts.items() if fact is not None}
    one_size(known, declared)
    vocab = next((fact.vocab for fact in known.values()), None)
    if vocab is not None:
        check_tokens(pipeline.generate, "generate", vocab)
    for stage in pipeline.every_stage() if vocab is not None else ():
        check_tokens(stage, f"stage {stage.kind}", vocab)
    return {name: fact or resolve.unknown(references[name], vocab or SOME) for name, fact in facts.items()}


def one_size(facts: Mapping[str, StandIn], declared: str | None) -> None:
    """Drafts and verdicts are over the same tokens. Raises PenstockError naming two models that differ."""
    if not facts:
        return
    (first, fact), *others = facts.items()
    for name, other in others:
        if other.vocab != fact.vocab:
            raise PenstockError(
                f"models {first} and {name} have {fact.vocab} and {other.vocab} tokens",
                where=declared,
                fix="use models that share a tokenizer",
            )
