"""`penstock bench` on table models: what it prints and keeps; nothing here depends on how long anything takes."""

import json

import pytest
from typer.testing import CliRunner

from penstock.bench.contest import Contest
from penstock.cli.commands import app

SPEC = """\
penstock: 1
models: {t: "table:7:1", d: "table:7:2"}
pipeline:
  - drafter.model: {model: d, length: 3}
  - verifier.model: {model: t}
generate: {max_new_tokens: 6}
prompts: ["1 2", "6"]
"""


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC)
    return lambda *options: CliRunner().invoke(app, ["bench", str(tmp_path / "spec.yaml"), *options])


def test_bench_prints_a_table_and_keeps_what_was_measured(bench, tmp_path):
    told = bench("--rounds", "2", "--batch", "3", "--json", str(tmp_path / "kept.json"))
    assert told.exit_code == 0, told.output
    assert "transformers has no equal: generate drafts for one row at a time" in told.output
    assert "2 rounds of 3 rows, batch 3, 6 tokens a row at most" in told.output
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert [each["tokens"] for each in kept["contenders"]["pipeline"]["rounds"]] == [18, 18]
    assert kept["machine"]["threads"] == 1 and kept["spec"]["pipeline"][0]["drafter.model"]["length"] == 3


def test_options_are_obeyed(bench):
    asked = ("--rounds", "1", "--max-new-tokens", "4", "--prompt", "3", "-o", "drafter.model.length=2")
    told = bench(*asked, "--dtype", "float64", "--without", "simplify")
    assert "1 round of 1 row, batch 1, 4 tokens a row at most; in turn; prefill included" in told.output
    assert "included; float64, auto, without simplify" in told.output


def test_stopped_between_rounds_it_tells_those_that_were_whole(bench, monkeypatch):
    run = Contest.run

    def stopped(self, count):
        for done, name in enumerate(run(self, count)):
            yield name
            if done == 4:  # warm, one round, half of the next
                raise KeyboardInterrupt

    monkeypatch.setattr(Contest, "run", stopped)
    told = bench("--rounds", "9")
    assert told.exit_code == 130 and "1 round of 2 rows" in told.output


def test_stopped_before_one_round_it_says_so(bench, monkeypatch):
    monkeypatch.setattr(Contest, "run", lambda self, count: (_ for _ in ()).throw(KeyboardInterrupt))
    told = bench()
    assert told.exit_code == 2 and "stopped before one round was whole" in told.output


@pytest.mark.parametrize(
    "line, message", [('{"prompt": "1", "params": {"heat": 1}}', "has parameters of its own"), ("{", "prompts.jsonl:1")]
)
def test_a_line_that_cannot_be_measured_is_one_message(bench, tmp_path, line, message):
    (tmp_path / "prompts.jsonl").write_text(line)
    told = bench("--prompts", str(tmp_path / "prompts.jsonl"))
    assert told.exit_code == 2 and message in told.output and "Traceback" not in told.output


def test_a_file_that_cannot_be_written_is_one_message(bench, tmp_path):
    told = bench("--rounds", "1", "--json", str(tmp_path / "no" / "kept.json"))
    assert told.exit_code == 2 and "cannot be written" in told.output
