"""Specs: exact round trips, places that are remembered, and files that are no specs."""

import json
import os
import random
import threading
from pathlib import Path

import pytest

from penstock.dsl.models import FolderModel, TableModel, ZooModel
from penstock.dsl.param import param
from penstock.dsl.pipeline import Generate, Pipeline
from penstock.dsl.read import MAX_BYTES
from penstock.dsl.registry import stage_class
from penstock.dsl.spec import dump, load
from penstock.ir.errors import PenstockError

HEAD = "penstock: 1\nmodels: {a: zoo:a}\n"

SPEC = """\
penstock: 1                       # format version
models: {target: zoo:target, draft: "table:3:7"}
views:
  swapped: {model: target, prompt: trivial.prompt}
pipeline:
  - trivial.drafter: {model: draft, length: 2}
  - trivial.scorer
  - trivial.tap:
  - trivial.transform: {value: {param: temperature, default: 0.8}, view: swapped, schema: person.json}
generate: {max_new_tokens: 5, seed: 3}
prompts: [yes, "1", "1e-3", "null", "~", "a: b", "line\\nbreak", "\\ud83d\\ude00 é", ""]
"""


def everything(drafter, transform) -> Pipeline:
    return Pipeline(
        models={"target": "zoo:target", "draft": "table:3:7"},
        views={"swapped": {"model": "target", "prompt": stage_class("trivial.prompt")()}},
        stages=(
            drafter(model="draft", length=2),
            stage_class("trivial.scorer")(),
            stage_class("trivial.tap")(),
            transform(value=param("temperature", 0.8), view="swapped", schema="person.json"),
        ),
        generate=Generate(max_new_tokens=5, seed=3),
        prompts=("yes", "1", "1e-3", "null", "~", "a: b", "line\nbreak", "😀 é", ""),
    )


def test_a_spec_is_the_pipeline_that_python_declares(drafter, transform):
    assert load(SPEC) == everything(drafter, transform)
    assert hash(load(SPEC)) == hash(everything(drafter, transform))


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_round_trips_are_exact(drafter, transform, form):
    pipeline = everything(drafter, transform).but(
        stages=(transform(bias={7: -1e-05, 3: 1e20}, others=[transform(value=0.1 + 0.2)], inner=transform()),)
    )
    text = dump(pipeline, form)
    assert load(text) == pipeline
    assert hash(load(text)) == hash(pipeline)
    assert dump(load(text), form) == text


def test_json_with_tabs_is_json(drafter, transform):
    spec = json.loads(dump(everything(drafter, transform), "json"))
    assert load(json.dumps(spec, indent="\t")) == everything(drafter, transform)


def test_stages_and_fields_know_their_place(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(SPEC)
    drafter, scorer, tap, transform = load(file).stages
    assert [stage.source for stage in (drafter, scorer, tap, transform)] == [
        f"{file}:{place}" for place in ("6:5", "7:5", "8:5", "9:5")
    ]
    assert drafter.place_of("length") == f"{file}:6:45"
    column = SPEC.splitlines()[8].index("person.json") + 1
    assert transform.place_of("schema") == f"{file}:9:{column}"
    assert transform.place_of("bias") == transform.source


def test_prompt_is_the_only_one_of_prompts():
    assert load(HEAD + "prompt: hello\npipeline: [trivial.scorer]").prompts == ("hello",)


def test_folders_are_looked_for_beside_the_spec(tmp_path):
    (tmp_path / "model").mkdir()
    file = tmp_path / "a.yaml"
    file.write_text("penstock: 1\nmodels: {a: ./model}\npipeline: [trivial.drafter: {model: a}]")
    pipeline = load(str(file))
    assert pipeline.base == tmp_path.resolve()
    assert pipeline.all_models() == {"a": FolderModel((tmp_path / "model").resolve())}
    assert pipeline.but(prompts=("x",)).all_models() == pipeline.all_models()


def test_models_may_be_written_in_place():
    pipeline = load("penstock: 1\npipeline: [trivial.drafter: {model: 'table:3:7:1'}, trivial.drafter: {model: zoo:b}]")
    assert pipeline.all_models() == {"table:3:7:1": TableModel(3, 7), "zoo:b": ZooModel("b")}


def test_the_message_reads_as_one(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(HEAD + "pipeline:\n- trivial.drafter: {model: a, length: four}")
    with pytest.raises(PenstockError) as caught:
        load(file)
    assert str(caught.value) == (
        f'{file}:4:39: stage trivial.drafter, field length: should be a valid integer, not "four"\n'
        "  fix: for example `length: 4`"
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "there is no such file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "the spec is not UTF-8 text"),
        (b"a: " + b"x" * MAX_BYTES, f"larger than {MAX_BYTES} bytes"),
        (b"", "the spec is empty"),
    ],
)
def test_files_that_are_no_specs(tmp_path, content, what):
    file = tmp_path / "a.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PenstockError, match=what) as caught:
        load(file)
    assert caught.value.where.startswith(str(file))


@pytest.mark.parametrize("name, what", [("x" * 300, "File name too long"), ("a\0b", "embedded null byte")])
def test_a_name_that_no_file_can_have(name, what):
    with pytest.raises(PenstockError, match=f"the spec cannot be read: {what}") as caught:
        load(Path(name))
    assert caught.value.where == name


def test_a_pipe_is_read_like_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(HEAD + "pipeline: [trivial.scorer]",), daemon=True)
    writer.start()
    pipeline = load(pipe)
    writer.join()
    assert pipeline.base == Path.cwd()


def test_a_folder_is_no_spec(tmp_path):
    with pytest.raises(PenstockError, match="the spec is a folder"):
        load(Path(tmp_path))


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + (HEAD + "pipeline: [trivial.scorer]").encode())
    assert len(load(file).stages) == 1


@pytest.mark.parametrize("seed", range(20))
def test_damaged_specs_end_in_one_error_or_load(seed):
    draw = random.Random(seed)
    for _ in range(20):
        text = list(SPEC)
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(text))
            text[at : at + draw.randint(0, 3)] = draw.choices(":{}[]-&*!|>'\"%@`#,? \n\t\x00\ud800é0aE", k=draw.randint(0, 3))
        try:
            load("".join(text) + "\n")
        except PenstockError as error:
            assert error.where
