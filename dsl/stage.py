"""Stages: what a user declares, a reusable node of a pipeline."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, get_args

from pydantic import (
    BeforeValidator,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from penstock.dsl.caller import caller
from penstock.dsl.declared import Declared
from penstock.dsl.fields import spelt
from penstock.dsl.located import LocatedMap
from penstock.dsl.mistakes import mistake
from penstock.dsl.param import Param
from penstock.dsl.registry import nearest, register, stage_class, stage_classes
from penstock.dsl.roles import Effect, Role
from penstock.ir.roles import Says, lacking

if TYPE_CHECKING:
    from penstock.dsl.pipeline import Pipeline

KIND = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
S = TypeVar("S", bound="Stage")
MARK = {"x-penstock": "stage"}
"""What stands for "any stage" in a JSON Schema until all stages are known."""


class Stage(Says, Declared):
    """A frozen description of one stage; a subclass sets ``kind``, ``role`` and ``effect``, its fields are options.

    A subclass that sets no kind of its own is a base for others and cannot be named in a spec.
    """

    kind: ClassVar[str]
    """``family.method``."""
    role: ClassVar[Role]
    effect: ClassVar[Effect]
    data: ClassVar[bool] = True
    """Whether a spec can hold it; one that is not data is for Python alone."""
    _source: str | None = PrivateAttr(default_factory=caller)
    _base: Path | None = PrivateAttr(None)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "kind" not in vars(cls):
            return
        if not KIND.fullmatch(cls.kind):
            raise TypeError(f"stage kind {cls.kind!r} is not of the form family.method")
        for what, allowed in (("role", get_args(Role)), ("effect", get_args(Effect))):
            if getattr(cls, what, None) not in allowed:
                raise TypeError(f"stage {cls.kind}: set {what} to one of {', '.join(allowed)}")
        missing = lacking(cls) if cls.parts is Stage.parts else ""
        if missing:
            raise TypeError(f"stage {cls.kind} is a {cls.role}: give it {missing}")
        register(cls)

    @classmethod
    def _subject(cls) -> str:
        return f"stage {cls.kind}"

    @property
    def source(self) -> str | None:
        """Where it was declared: ``file:line`` of a Python caller, ``file:line:col`` in a spec."""
        return self._source

    def place_of(self, field: str) -> str | None:
        """Where one of its fields was written, else where the stage was."""
        return super().place_of(field) or self._source

    def here(self, part: S) -> S:
        """A part of this stage, declared where this stage was."""
        part._source, part._places, part._base = self._source, self._places, self._base
        return part

    def beside_spec(self, path: str) -> Path:
        """The file that a field names: a relative one is looked for beside the spec that the stage was read from."""
        return (self._base or Path()) / Path(path).expanduser()

    def parts(self) -> tuple["Stage", ...]:
        """The role stages it consists of; a composite returns several that share its registers."""
        return (self,)

    def reference(self) -> "Stage | None":
        """What stands for it in the reference pipeline: nothing where it accelerates, else itself."""
        return None if self.effect == "accelerates" else self

    def small(self, v: int) -> "Stage":
        """The same stage over a toy vocabulary of v tokens, for certify; a stage without one is not certified."""
        raise NotImplementedError(f"stage {self.kind} is not certified: it has no form over a toy vocabulary")

    def __rshift__(self, other: "Stage | Pipeline") -> "Pipeline":
        from penstock.dsl.pipeline import Pipeline  # a pipeline holds stages

        return Pipeline(stages=(self,)) >> other

    def params(self) -> dict[str, Param]:
        """The fields that a request may set, by the name that a spec calls the field."""
        fields = {spelt(name, info): getattr(self, name) for name, info in type(self).model_fields.items()}
        return {name: value for name, value in fields.items() if isinstance(value, Param)}

    @model_serializer(mode="wrap")
    def _by_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {self.kind: handler(self)}

    @model_validator(mode="wrap")
    @classmethod
    def _defaults_are_valid(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """A request parameter's default must be a value that the field takes."""
        made = handler(value)
        defaults = {name: p.default for name, p in made.params().items() if p.default is not None}
        if isinstance(value, dict) and defaults:
            handler({**value, **defaults})
            made = handler(value)  # pydantic validates into the one instance
        return made


def by_kind(value: Any, info: ValidationInfo | None = None) -> Any:
    """A stage from ``{kind: {field: value}}``, ``{kind: }`` or ``kind``; stages pass through."""
    if isinstance(value, Stage):
        return value
    kind, fields = one_entry(value)
    cls = stage_class(kind)
    if cls is None:
        hint = nearest(kind, stage_classes()) or "`penstock stages` lists all"
        raise PydanticCustomError("unknown_stage", "there is no stage {kind}", {"kind": kind, "fix": hint, "key": kind})
    if not cls.data:
        context = {"kind": kind, "fix": "it holds Python objects; build the pipeline in Python", "key": kind}
        raise PydanticCustomError("unknown_stage", "there is no stage {kind} that a spec can hold", context)
    try:
        stage: Stage = cls.model_validate({} if fields is None else fields)
    except ValidationError as error:
        raise mistake(error, fields, cls._subject(), cls, where=kind_place(value, kind)) from None
    stage._source = kind_place(value, kind) or stage._source
    return stage


def one_entry(value: Any) -> tuple[str, Any]:
    """``(kind, fields)`` of a stage as written."""
    if isinstance(value, str):
        return value, None
    if not isinstance(value, dict) or len(value) != 1:
        raise PydanticCustomError("stage_form", "should be a stage", {"fix": "write `family.method: {field: value}`"})
    ((kind, fields),) = value.items()
    return str(kind), fields


def kind_place(value: Any, kind: str) -> str | None:
    """Where the kind stands in the text."""
    return value.key_places[kind] if isinstance(value, LocatedMap) else getattr(value, "place", None)


StageField = Annotated[SerializeAsAny[Stage], BeforeValidator(by_kind), WithJsonSchema(MARK)]
"""A field that holds any stage; ``tuple[StageField, ...]`` holds several."""
