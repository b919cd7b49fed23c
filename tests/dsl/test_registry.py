"""Stages of other packages are found through entry points; a broken one is named."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from penstock.dsl import registry
from penstock.ir.errors import PenstockError


@pytest.fixture
def entry(monkeypatch):
    def offer(value):
        found = [EntryPoint("mine", value, registry.GROUP)]
        monkeypatch.setattr(registry, "entry_points", lambda group: found if group == registry.GROUP else [])
        registry.discover.cache_clear()

    yield offer
    registry.discover.cache_clear()


def test_an_entry_point_is_imported_once(entry, tmp_path, monkeypatch):
    (tmp_path / "other_package.py").write_text(
        "from penstock.dsl.stage import Stage\n"
        "class Mine(Stage):\n"
        "    kind = 'mine.tap'\n"
        "    role = 'encoder'\n"
        "    effect = 'steers'\n"
        "    def learn(self, step, commit, stage): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entry("other_package")
    assert registry.stage_class("mine.tap").__name__ == "Mine"
    assert "mine.tap" in registry.stage_classes()


def test_a_broken_entry_point_is_named(entry):
    entry("no_such_package.stages")
    with pytest.raises(PenstockError, match="the stages of no_such_package.stages cannot be imported") as caught:
        registry.stage_class("unheard.of")
    assert caught.value.where == "entry point mine of penstock.stages"


def test_the_library_is_imported_when_first_asked_for():
    script = (
        "import sys, penstock.dsl.spec, penstock.dsl.registry as r\n"
        "assert 'penstock.library' not in sys.modules\n"
        "assert r.stage_class('drafter.model') is not None\n"
        "assert 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
