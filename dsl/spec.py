"""Spec files: a pipeline as YAML or JSON, both ways; every mistake is one error with its line and column."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from penstock.dsl.located import LocatedList, LocatedMap
from penstock.dsl.mistakes import mistake
from penstock.dsl.models import FIX, FolderModel, parse
from penstock.dsl.override import override
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.read import MAX_BYTES, read, too_large
from penstock.dsl.scalars import Writer
from penstock.ir.errors import PenstockError

VERSION = 1
TEXT = "<text>"
CHAIN = ("pipeline", "edges", "nodes")
"""Where the chain may stand, for a mistake of the whole."""


def load(spec: str | Path, overrides: Sequence[str] = ()) -> Pipeline:
    """The pipeline of a spec file, or of a text of several lines, with single values replaced. Raises PenstockError."""
    if isinstance(spec, str) and ("\n" in spec or spec.lstrip().startswith("{")):
        return pipeline_of(read(spec, TEXT), TEXT, None, overrides)
    path = Path(spec)
    written = read(text_of(path), str(path))
    base = path.resolve().parent if path.is_file() else None  # a pipe lies beside nothing
    return pipeline_of(written, str(path), base, overrides)


def text_of(path: Path) -> str:
    """The text of a file that may not be one."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise too_large(str(path))
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        what = "the spec is not UTF-8 text"
    except (FileNotFoundError, NotADirectoryError):
        what = "there is no such file"
    except IsADirectoryError:
        what = "the spec is a folder"
    except (OSError, ValueError) as error:  # a name too long, or with a null character
        what = f"the spec cannot be read: {getattr(error, 'strerror', None) or error}"
    raise PenstockError(what, where=str(path), fix="name a YAML or JSON file")


def pipeline_of(written: Any, name: str, base: Path | None, overrides: Sequence[str] = ()) -> Pipeline:
    """Located values of a spec as a pipeline whose names are all known."""
    if not isinstance(written, LocatedMap):
        raise PenstockError("a spec is a mapping", where=f"{name}:1:1", fix="begin with `penstock: 1`")
    check_version(written)
    one_prompt(written)
    override(written, overrides)
    try:
        pipeline = Pipeline.model_validate(written)
        pipeline.lies_in(base)
        pipeline.check_names()
    except ValidationError as error:
        raise mistake(error, written, "", Pipeline, where=written.place) from None
    except PenstockError as error:
        where = error.where or next((written.places[key] for key in CHAIN if key in written), written.place)
        raise PenstockError(error.what, where=where, fix=error.fix) from None
    check_folders(pipeline, written)
    return pipeline


def check_version(written: LocatedMap) -> None:
    fix = f"begin with `penstock: {VERSION}`"
    if "penstock" not in written:
        raise PenstockError("the format version is missing", where=written.place, fix=fix)
    given = written["penstock"]
    if given != VERSION or isinstance(given, bool):
        raise PenstockError(f"format version {given!r} is not supported", where=written.places["penstock"], fix=fix)


def one_prompt(written: LocatedMap) -> None:
    """``prompt: text`` is ``prompts: [text]``."""
    if "prompt" not in written:
        return
    where, place = written.key_places["prompt"], written.places["prompt"]
    if "prompts" in written:
        raise PenstockError("prompt and prompts are both given", where=where, fix="keep prompts")
    prompts = LocatedList(place)
    prompts.put(written.pop("prompt"), place)
    written.put("prompts", where, prompts, place)


def check_folders(pipeline: Pipeline, written: LocatedMap) -> None:
    """Local folders that the spec declares must be there; all else about a model is known once it is loaded."""
    for name, text in pipeline.models.items():
        found = parse(text, pipeline.base)
        if isinstance(found, FolderModel) and not os.path.isdir(found.folder):  # Path.is_dir raises for a name too long
            place = written["models"].places[name]
            raise PenstockError(f"field models.{name}: there is no folder {found}", where=place, fix=FIX)


def dump(pipeline: Pipeline, form: Literal["yaml", "json"] = "yaml") -> str:
    """The spec of a pipeline, with every field, so that a later default does not change it; `load` gives it back."""
    for stage in pipeline.every_stage():
        if not stage.data:
            what = f"stage {stage.kind} holds Python objects, and a spec is data"
            raise PenstockError(what, where=stage.source, fix="use stages that a spec can hold")
    spec = pipeline.model_dump(mode="json")
    if form == "json":
        return json.dumps(spec, indent=2) + "\n"
    return str(yaml.dump(spec, Dumper=Writer, sort_keys=False, allow_unicode=True, width=120))
