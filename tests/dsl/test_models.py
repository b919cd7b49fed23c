"""Model references: parsed, canonical, refused with a remedy."""

from pathlib import Path

import pytest

from penstock.dsl.models import FolderModel, HubModel, TableModel, ZooModel, is_reference, parse
from penstock.ir.errors import PenstockError


@pytest.mark.parametrize(
    "text, reference",
    [
        ("hf:org/name-1.5B", HubModel("org/name-1.5B")),
        ("hf:org/name@v1.2", HubModel("org/name", "v1.2")),
        ("hf:org/name@refs/pr/3", HubModel("org/name", "refs/pr/3")),
        ("zoo:drafter-small", ZooModel("drafter-small")),
        ("table:3:7", TableModel(3, 7, 1)),
        ("table:4:0:2", TableModel(4, 0, 2)),
    ],
)
def test_a_reference_and_its_text(text, reference):
    assert parse(text) == reference
    assert str(reference) == text
    assert is_reference(text)


def test_equal_references_are_equal_however_written(tmp_path):
    assert parse("table:3:7") == parse("table:3:07:1")
    assert parse("./a/../b", tmp_path) == parse(str(tmp_path / "b")) == FolderModel(tmp_path.resolve() / "b")
    assert parse("hf:a/b") != parse("hf:a/b@main") == parse("hf:a/b@main")
    assert len({parse("zoo:a"), parse("zoo:a"), parse("./a")}) == 2


def test_relative_folders_start_from_the_base():
    assert parse("./x", Path("/base")) == FolderModel(Path("/base/x").resolve())
    assert parse("x/y") == FolderModel((Path.cwd() / "x/y").resolve())
    assert parse("./a:b/c") == FolderModel((Path.cwd() / "a:b/c").resolve())


@pytest.mark.parametrize(
    "text, message",
    [
        ("target", "it names no place"),
        ("", "it names no place"),
        ("hg:org/name", "no scheme 'hg'"),
        ("hf:name", "hf:organisation/name"),
        ("hf:org/name/more", "hf:organisation/name"),
        ("hf:../name", "hf:organisation/name"),
        ("hf:org/name@", "hf:organisation/name@revision"),
        ("hf:org/name@../x", "hf:organisation/name@revision"),
        ("hf:org/name@a@b", "hf:organisation/name@revision"),
        ("zoo:", "zoo:name"),
        ("zoo:../../etc", "zoo:name"),
        ("table:3", "table:vocabulary:seed"),
        ("table:3:x", "table:vocabulary:seed"),
        ("table:3:-1", "table:vocabulary:seed"),
        ("table:1:0", "2 to 256 tokens"),
        ("table:99999:0", "2 to 256 tokens"),
        ("table:3:0:0", "1 to 8 layers"),
        ("table:3:0:1:1", "table:vocabulary:seed"),
    ],
)
def test_what_is_no_reference_is_refused(text, message):
    with pytest.raises(PenstockError, match="model reference") as caught:
        parse(text)
    assert message in caught.value.what
    assert caught.value.fix
