"""A model is what was exported, or it is not loaded; a model's name is one of the index or of its aliases."""

import json

import pytest
from zoo_runs import begin

from penstock.dsl.models import parse
from penstock.ir.errors import PenstockError
from penstock.library import zoo
from penstock.library.zoo import export, index, weights, whole
from penstock.resolve import facts, place


def refused(name="tiny"):
    with pytest.raises(PenstockError) as caught:
        zoo.path(name)
    return caught.value


def test_an_export_enters_the_index_with_every_file(exported):
    assert zoo.names() == ("tiny",)
    entry = index.read()["tiny"]
    assert set(entry.files) == {each.name for each in exported.iterdir()} >= {"model.safetensors", "config.json", "training.json"}
    assert entry.size == sum(each.stat().st_size for each in exported.iterdir())
    assert entry.parameters == sum(each.numel() for each in weights.load("zoo:tiny").parameters())
    assert zoo.path("zoo:tiny") == zoo.path("tiny") == exported


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_missing_file_is_one_message(exported, file):
    (exported / file).unlink()
    error = refused()
    assert error.what == f"{file} of zoo:tiny is missing"
    assert error.fix == "reinstall penstock, or train it again: penstock zoo train tiny --out FOLDER"
    assert str(exported / file) in str(error)


def test_a_truncated_file_is_one_message(exported):
    file = exported / "model.safetensors"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:1000])
    assert refused().what == f"model.safetensors of zoo:tiny is damaged: it has 1,000 bytes instead of {size:,}"


def test_one_flipped_bit_is_one_message_even_after_a_good_load(exported):
    weights.load("tiny")
    file = exported / "model.safetensors"
    held = bytearray(file.read_bytes())
    held[-5] ^= 1
    file.write_bytes(held)
    assert refused().what == "model.safetensors of zoo:tiny is damaged: its sha256 is not the one in the index"


@pytest.mark.parametrize("call", [facts, place])
def test_a_pipeline_meets_the_same_message(exported, call):
    (exported / "model.safetensors").write_bytes(b"")
    with pytest.raises(PenstockError, match="model.safetensors of zoo:tiny is damaged"):
        call(parse("zoo:tiny"))


@pytest.mark.parametrize("text", ["{", "[]", '{"tiny": {"files": {}}}', '{"tiny": 3}'])
def test_an_unreadable_index_is_one_message(shelf, text):
    (shelf / "index.json").write_text(text)
    with pytest.raises(PenstockError, match="the index of the zoo cannot be read"):
        zoo.names()


def test_an_alias_is_the_same_model(tmp_path, shelf):
    begin(tmp_path / "run").run(until=1)
    export.export(tmp_path / "run", "target")
    assert zoo.path("zoo:target-strong") == zoo.path("target")
    assert facts(parse("zoo:target-strong")).width == 16
    assert refused("zoo:nobody").fix == "name one of target, target-strong"


def test_an_alias_of_nothing_is_not_offered(exported):
    assert refused("target-strong").fix == "name one of tiny"


def test_a_new_export_replaces_the_old_and_its_figures(tmp_path, exported):
    entries = index.read()
    index.write({**entries, "tiny": index.replace(entries["tiny"], figures={"bits": {"a": 1.0}})})
    assert index.read()["tiny"].figures == {"bits": {"a": 1.0}}
    (exported / "stale.txt").write_text("of an older version")
    begin(tmp_path / "run").run(until=4)
    export.export(tmp_path / "run")
    assert not (exported / "stale.txt").exists() and index.read()["tiny"].figures == {}
    assert json.loads((zoo.path("tiny") / "training.json").read_text())["step"] == 4
    assert {each.name for each in exported.parent.iterdir()} == {"tiny"}


def test_a_machine_is_told_where_the_run_did_not_record_it(tmp_path, shelf):
    begin(tmp_path / "old").run(until=1)
    begin(tmp_path / "new", about={"machine": "a phone"}).run(until=1)
    for run, name, expected in (("old", "target", "a desk"), ("new", "fair", "a phone")):
        told = json.loads((export.export(tmp_path / run, name, "a desk") / "training.json").read_text())
        assert told["machine"] == expected


def test_an_export_of_nothing_is_a_mistake(tmp_path, shelf):
    with pytest.raises(PenstockError, match="no checkpoint here"):
        export.export(tmp_path)


def test_a_folder_that_fails_to_fill_leaves_the_old_one(tmp_path):
    with whole.folder(tmp_path / "a") as place_:
        (place_ / "x").write_text("old")
    with pytest.raises(FileNotFoundError), whole.folder(tmp_path / "a") as place_:
        (place_ / "nowhere" / "x").write_text("new")
    assert (tmp_path / "a" / "x").read_text() == "old"
    whole.sweep(tmp_path, "*")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
