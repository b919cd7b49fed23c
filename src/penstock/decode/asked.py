"""What a call asks of a pipeline, checked: prompts, limits, request parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from penstock.decode.dialogue import is_dialogue
from penstock.dsl.pipeline import Generate, Pipeline
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError

Params = Mapping[str, float | Sequence[float]]
"""Request parameters by name: one value for all prompts, or one for each."""


def check_prompts(prompts: Any) -> None:
    """Raises PenstockError unless these are several prompts: a text is a sequence too, of its characters."""
    if isinstance(prompts, str):
        raise PenstockError("prompts is one text, not a list of them", fix="write [prompt]")
    if not isinstance(prompts, Sequence):
        raise PenstockError(f"prompts is a {type(prompts).__name__}, not a list of texts", fix="write [prompt, ...]")
    for row, prompt in enumerate(prompts):
        if not isinstance(prompt, str) and not is_dialogue(prompt):
            what = f"prompt {row} is a {type(prompt).__name__}, not a text"
            raise PenstockError(what, fix='give texts, or dialogues as [{"role": "user", "content": "..."}]')
        for text in [prompt] if isinstance(prompt, str) else [message["content"] for message in prompt]:
            if not is_unicode(text):
                raise PenstockError(f"prompt {row} is no text: it holds half a character", fix="leave surrogates out of it")


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded; Python keeps bytes that are no text as halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def count(name: str, value: Any, least: int) -> int:
    """A number of prompts that a call gives, checked. Raises PenstockError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        what = f"{name} is {value!r}: it should be an integer of at least {least}"
        raise PenstockError(what, fix=f"for example {name}={least}")
    return value


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


def request_values(pipeline: Pipeline, given: Params, rows: int) -> list[dict[str, float]]:
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
    pick = {name: value if isinstance(value, Sequence) else [value or 0.0] * rows for name, value in columns.items()}
    return [{name: value[row] for name, value in pick.items()} for row in range(rows)]


def check_value(stage: Stage, field: str, name: str, value: float | None) -> None:
    """A request's value must be one that the field takes as a constant."""
    fields = {info.alias or key: getattr(stage, key) for key, info in type(stage).model_fields.items()}
    try:
        type(stage).model_validate({**fields, field: value})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].replace("Input should", "it should")
        place = f"stage {stage.kind}, field {field}"
        fix = f"give what a spec may give as {field}; `penstock stages --json` tells its bounds"
        raise PenstockError(f"request parameter {name} is {value!r}: {reason}", where=place, fix=fix) from None
