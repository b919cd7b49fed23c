"""A pipeline as a drawing: stages in reading order, what flows between them, and the models that they use."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from penstock.dsl.fields import spelt
from penstock.dsl.names import named
from penstock.dsl.param import Param
from penstock.dsl.roles import READS, WRITES
from penstock.dsl.stage import Stage
from penstock.ir.picture.drawing import Arrow, Box, Drawing

if TYPE_CHECKING:
    from penstock.dsl.pipeline import Pipeline

LONGEST = 40
FLOWS = ("Text", "Draft", "Scored", "Denoised", "Proposals")
"""What a stage may take from the last one before it that gives it."""


def pipeline_drawing(pipeline: "Pipeline") -> Drawing:
    """The pipeline as it was declared."""
    models = [Box(f"model {name}", name, (text,), "model") for name, text in pipeline.models.items()]
    views = [Box(f"view {name}", name, described(view.prompt), "view") for name, view in pipeline.views.items()]
    stages = [Box(f"stage {i}", s.kind, tuple(fields(s)), role_of(s)) for i, s in enumerate(pipeline.stages)]
    arrows = [*flows(pipeline.stages), *uses(pipeline)]
    used = {arrow.start for arrow in arrows}
    kept = [box for box in (*models, *views) if box.name in used]
    return Drawing((*kept, *stages, Box("text", "text", (), "text")), tuple(arrows))


def role_of(stage: Stage) -> str:
    """What a stage does first, of a composite."""
    parts = stage.parts()
    return parts[0].role if parts else stage.role


def described(prompt: Stage | None) -> tuple[str, ...]:
    """A view's own prompt in a line or a few."""
    return () if prompt is None else (prompt.kind, *fields(prompt))


def fields(stage: Stage) -> Iterator[str]:
    """The fields that are not at their defaults, one a line."""
    for name, info in type(stage).model_fields.items():
        value = getattr(stage, name)
        if info.is_required() or value != info.get_default(call_default_factory=True):
            text = f"{spelt(name, info)}: {said(value)}"
            yield text if len(text) <= LONGEST else text[: LONGEST - 1] + "\u2026"


def said(value: Any) -> str:
    """A field's value in few words."""
    if isinstance(value, Param):
        return f"{value.param} (request)"
    if isinstance(value, Stage):
        inner = ", ".join(fields(value))
        return f"{value.kind}({inner})"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(said, value)) + "]"
    return str(value)


def flows(stages: tuple[Stage, ...]) -> Iterator[Arrow]:
    """From the last stage that gives something to the next that takes it; what is left over becomes text."""
    holder: dict[str, int] = {}
    for number, stage in enumerate(stages):
        for port in taken(stage):
            if port in holder:
                yield Arrow(f"stage {holder[port]}", f"stage {number}", port)
        holder |= dict.fromkeys(given(stage), number)
        if taken(stage) and not given(stage):
            holder |= dict.fromkeys(taken(stage), number)  # hands on what it read
    for port in dict.fromkeys(port for port in ("Proposals", "Scored") if port in holder):
        yield Arrow(f"stage {holder[port]}", "text", "Commit")


def taken(stage: Stage) -> tuple[str, ...]:
    """What it takes from earlier stages, in the order of `FLOWS`."""
    parts = stage.parts()
    wanted = {port for part in parts for port in READS.get(part.role, ())}
    own = {port for part in parts for port in set(WRITES.get(part.role, ())) - set(READS.get(part.role, ()))}
    drafted = {"Draft"} if any(part.role in ("scorer", "denoiser") for part in parts) else set()
    return tuple(port for port in FLOWS if port in (wanted - own) | drafted)


def given(stage: Stage) -> tuple[str, ...]:
    """What later stages take from it."""
    found = {port for part in stage.parts() for port in WRITES.get(part.role, ())}
    return tuple(port for port in FLOWS if port in found)


def uses(pipeline: "Pipeline") -> Iterator[Arrow]:
    """From models and views to what names them."""
    for name, view in pipeline.views.items():
        if view.model in pipeline.models:
            yield Arrow(f"model {view.model}", f"view {name}", "", aside=True)
    for number, stage in enumerate(pipeline.stages):
        for _, _, name in dict.fromkeys(named(stage)):
            place = f"view {name}" if name in pipeline.views else f"model {name}" if name in pipeline.models else None
            if place:
                yield Arrow(place, f"stage {number}", "", aside=True)
