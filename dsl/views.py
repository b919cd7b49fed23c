"""Views: a model in a context of its own; every stage that reads one must mean the same model by it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from penstock.dsl.models import parse
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError

if TYPE_CHECKING:
    from penstock.dsl.pipeline import Pipeline


def check_views(pipeline: "Pipeline") -> None:
    """Raises PenstockError for a stage that reads a view as another model than the view is of, or than an earlier stage does."""
    known: dict[str, tuple[str, str]] = {name: (name, f"{name} is that model's own view") for name in pipeline.models}
    known |= {name: (view.model, f"the view {name} is declared of {view.model}") for name, view in pipeline.views.items()}
    for part, view, model in reads(pipeline):
        meant, because = known.setdefault(view, (model, f"stage {part.kind} reads {view} as {model}"))
        if not same(pipeline, meant, model):
            raise PenstockError(
                f"stage {part.kind} reads the view {view} as the model {model}, and {because}",
                where=part.source,
                fix=f"name a view of {model}, or the model {meant}",
            )


def reads(pipeline: "Pipeline") -> Iterator[tuple[Stage, str, str]]:
    """Every stage of a step with the views that it reads, and what model it takes each for."""
    for part in (part for stage in pipeline.stages for part in stage.parts()):
        yield from ((part, view, model) for view, model in part.views().items())


def same(pipeline: "Pipeline", one: str, other: str) -> bool:
    """Whether two names of models stand for one model."""
    return one == other or len({str(parse(pipeline.models.get(name, name), pipeline.base)) for name in (one, other)}) == 1
