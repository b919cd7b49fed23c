"""Pipelines: stages in reading order, the models and views they name, and how long to generate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from penstock.dsl.declared import Declared
from penstock.dsl.limits import MAX_NEW_TOKENS, MAX_SEED
from penstock.dsl.located import LocatedMap, only
from penstock.dsl.mistakes import mistake
from penstock.dsl.models import ModelReference, is_reference, parse
from penstock.dsl.names import ModelName, named
from penstock.dsl.param import Param
from penstock.dsl.registry import nearest
from penstock.dsl.spelling import NAME
from penstock.dsl.stage import Stage, StageField
from penstock.dsl.tokens import TokenId
from penstock.ir.errors import PenstockError

Name = Annotated[str, Field(pattern=NAME)]
WIRES = ("nodes", "edges")


def valid_reference(text: str) -> str:
    """The text as it is, if it is a model reference."""
    try:
        parse(text)
    except PenstockError as error:
        raise PydanticCustomError("model_reference", "{what}", {"what": error.what, "fix": error.fix}) from None
    return text


class View(Declared):
    """A model with a prefix of its own."""

    model: ModelName
    prompt: StageField | None = None
    """A stage that turns the request's prompt into this view's; none shares it."""


class Generate(Declared):
    """What a run of the pipeline does where a request does not say otherwise."""

    max_new_tokens: Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS)] = 64
    """Where a text has not ended before."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """What all noise derives from; equal requests of one run are told apart."""
    eos: tuple[TokenId, ...] | None = None
    """Ids that end a text, instead of those that the target's folder names."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that end a continuation, which is then what stands before them."""


class Wires(Declared):
    """A pipeline as a graph: stages by name, and which reads which."""

    nodes: Annotated[dict[Name, StageField], Field(min_length=1)]
    edges: tuple[tuple[str, str], ...] = ()


class Pipeline(Declared):
    """Stages in the order in which they read, and what they refer to.

    ``Pipeline(nodes={name: stage}, edges=[(name, name)])`` takes a graph without cycles and finds the chain it means.
    """

    version: Annotated[Literal[1], Field(validation_alias="penstock", serialization_alias="penstock")] = 1
    """Of the spec format."""
    models: Annotated[
        dict[Name, Annotated[str, AfterValidator(valid_reference)]], Field(examples=["{target: zoo:target}"])
    ] = {}
    """Model references by name."""
    views: dict[Name, View] = {}
    """Views that are not simply a model on the request's prompt."""
    stages: Annotated[
        tuple[StageField, ...],
        Field(
            min_length=1,
            validation_alias="pipeline",
            serialization_alias="pipeline",
            examples=["[{verifier.model: {model: target}}]"],
        ),
    ]
    """In the order in which they read and write what earlier ones gave."""
    generate: Generate = Generate()
    prompts: Annotated[tuple[str, ...], Field(examples=["[Once upon a time]"])] = ()
    """What `penstock run` is to continue where it is given no prompt."""
    _base: Path | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _chained(cls, value: Any) -> Any:
        if isinstance(value, dict) and "nodes" in value:
            rest = {key: part for key, part in value.items() if key not in WIRES}
            if "pipeline" in rest or "stages" in rest:
                where = value.key_places["nodes"] if isinstance(value, LocatedMap) else None
                raise PenstockError("pipeline and nodes are both given", where=where, fix="keep one of them")
            return rest | {"pipeline": chained(only(value, WIRES))}
        if isinstance(value, dict) and isinstance(value.get("pipeline"), dict):
            return {**value, "pipeline": chained(value["pipeline"])}
        return value

    @model_validator(mode="after")
    def _parameters_agree(self) -> Self:
        self.params()
        return self

    @property
    def base(self) -> Path:
        """The folder that relative paths in it are looked for from: the spec file's, else where we are."""
        return self._base or Path.cwd()

    def lies_in(self, base: Path | None) -> None:
        """Relative paths in it and in its stages are looked for from this folder."""
        self._base = base
        for stage in self.every_stage():
            stage._base = base

    def but(self, **changes: Any) -> "Pipeline":
        """The same pipeline with some fields replaced, checked again."""
        made = Pipeline(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})
        made._base, made._places = self._base, self._places
        return made

    def reference(self) -> "Pipeline":
        """The pipeline that this one promises to equal: each accelerator replaced by what stands for it."""
        kept = [stage.reference() for stage in self.stages]
        return self.but(stages=tuple(stage for stage in kept if stage is not None))

    def every_stage(self) -> Iterator[Stage]:
        """All stages: those of the chain, those in views, and those inside other stages' fields."""
        yield from within((self.stages, [view.prompt for view in self.views.values()]))

    def check_names(self) -> None:
        """Raises PenstockError unless every name that a stage or a view refers to is defined, once."""
        for name, view in self.views.items():
            if name in self.models:
                raise PenstockError(f"{name} is a model and a view", where=self.place_of("views"), fix="rename one")
            self._check_names(view, f"view {name}", self.place_of("views"))
            if view.prompt is not None and view.prompt.role != "prompt":
                what = f"view {name}, field prompt: {view.prompt.kind} is a {view.prompt.role}, not a prompt stage"
                raise PenstockError(what, where=view.prompt.source)
        for stage in self.every_stage():
            self._check_names(stage, f"stage {stage.kind}", stage.source)

    def _check_names(self, declared: Declared, subject: str, source: str | None) -> None:
        for field, what, name in named(declared):
            known = {**self.models} if what == "model" else {**self.models, **self.views}
            if name in known:
                continue
            wrong, fix = f"no {what} is called {name!r}", nearest(name, known)
            if what == "model" and is_reference(name):
                try:
                    parse(name)
                    continue
                except PenstockError as error:
                    wrong, fix = error.what, error.fix or ""
            raise PenstockError(
                f"{subject}, field {field}: {wrong}",
                where=declared.place_of(field) or source,
                fix=fix or f"declare it under `{what}s:`, which has {', '.join(known) or 'none'}",
            )

    def all_models(self) -> dict[str, ModelReference]:
        """What every model name in use refers to; a reference written in place is its own name. Checks names."""
        self.check_names()
        users = (*self.views.values(), *self.every_stage())
        found = [(what, name) for user in users for _, what, name in named(user)]
        names = dict.fromkeys(name for what, name in found if what == "model" or name in self.models)
        return {name: parse(self.models.get(name, name), self.base) for name in names}

    def params(self) -> dict[str, Param]:
        """The request parameters by name. Raises PenstockError where two stages disagree on a default."""
        found: dict[str, tuple[Stage, Param]] = {}
        for stage in self.every_stage():
            for field, wanted in stage.params().items():
                first, known = found.setdefault(wanted.param, (stage, wanted))
                if known != wanted:
                    raise PenstockError(
                        f"stage {stage.kind}, field {field}: parameter {wanted.param} defaults to {wanted.default} "
                        f"here and to {known.default} in stage {first.kind}",
                        where=stage.place_of(field),
                        fix="give it one default, or two names",
                    )
        return {name: known for name, (_, known) in found.items()}

    def _repr_svg_(self) -> str:
        """How a notebook shows it."""
        from penstock.dsl.drawn import pipeline_drawing  # pictures, where somebody looks
        from penstock.ir.picture.svg import svg

        return svg(pipeline_drawing(self))

    def __rshift__(self, other: "Stage | Pipeline") -> "Pipeline":
        """This, then the other; what both name must be the same."""
        if isinstance(other, Stage):
            return self.but(stages=(*self.stages, other))
        if not isinstance(other, Pipeline):
            raise TypeError(f">> joins stages and pipelines, and {other!r} is neither")
        merged = {name: merge(name, getattr(self, name), getattr(other, name)) for name in ("models", "views")}
        plain = {"generate": Generate(), "prompts": ()}
        for name, default in plain.items():
            mine, theirs = getattr(self, name), getattr(other, name)
            merged[name] = agreed(name, [value for value in (mine, theirs) if value != default] or [default])
        return self.but(stages=self.stages + other.stages, **merged)


def chained(wires: dict[str, Any]) -> tuple[Stage, ...]:
    """The chain that a graph, as written, means."""
    from penstock.dsl.wiring import chain  # networkx, for graphs alone

    try:
        graph = Wires.model_validate(wires)
    except ValidationError as error:
        raise mistake(error, wires, "pipeline", Wires) from None
    return chain(graph.nodes, graph.edges)


def within(value: Any) -> Iterator[Stage]:
    """Every stage in a value, at any depth."""
    if isinstance(value, Stage):
        yield value
        yield from within(list(value.__dict__.values()))
    elif isinstance(value, dict):
        yield from within(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from within(part)


def merge(what: str, mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    return mine | {name: agreed(f"{what}.{name}", [mine.get(name, value), value]) for name, value in theirs.items()}


def agreed(what: str, values: list[Any]) -> Any:
    """The one value that all are."""
    if any(value != values[0] for value in values):
        raise PenstockError(f"pipelines joined by >> disagree on {what}: {values[0]} and {values[1]}", fix="rename one")
    return values[0]
