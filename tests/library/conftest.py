"""What the tests of the zoo share."""

import pytest
from transformers import AutoTokenizer
from zoo_runs import begin

from penstock.library.zoo import export, index, tokenizer_path


@pytest.fixture(scope="session")
def tokenizer():
    """The tokenizer of the zoo."""
    return AutoTokenizer.from_pretrained(tokenizer_path())


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """The folder of a zoo of its own, empty."""
    monkeypatch.setattr(index, "ROOT", tmp_path / "zoo")
    (tmp_path / "zoo").mkdir()
    return tmp_path / "zoo"


@pytest.fixture
def exported(tmp_path, shelf):
    """``tiny``, two steps old, in that zoo."""
    begin(tmp_path / "run").run(until=2)
    return export.export(tmp_path / "run")
