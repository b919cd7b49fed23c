"""`penstock run` over a file of prompts: broken lines, results that grow, and a run that is stopped and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli.commands import app
from penstock.decode.runner import Runner

SPEC = """\
penstock: 1
models: {t: "table:7:1", d: "table:7:2"}
pipeline:
  - drafter.model: {model: d, length: 3}
  - verifier.model: {model: t}
  - transform.temperature: {value: {param: heat, default: 0.8}}
generate: {max_new_tokens: 12, seed: 3}
"""
PROMPTS = [{"prompt": f"{i % 7} {i % 3}", "params": {"heat": 0.5 + i % 2}} for i in range(21)]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(each) + "\n" for each in PROMPTS))
    return tmp_path


def run(folder: Path, *options: str, prompts: str = "prompts.jsonl"):
    command = ["run", str(folder / "spec.yaml"), "--prompts", str(folder / prompts), *options]
    return CliRunner().invoke(app, command)


def records(file: Path) -> list[dict]:
    """What a file of results says but for how long it took."""
    told = [json.loads(line) for line in file.read_text().splitlines()]
    for each in told:
        assert each["stats"].pop("seconds") > 0 and each["stats"].pop("stages")
    return told


def test_every_prompt_is_a_line_in_order_as_if_alone(files):
    assert run(files, "--out", str(files / "all.jsonl"), "--batch", "4").exit_code == 0
    told = records(files / "all.jsonl")
    assert [each["prompt"] for each in told] == [each["prompt"] for each in PROMPTS]
    assert {each["run"] for each in told} == {told[0]["run"]}
    shuffled = run(files, "--json", "--batch", "21").stdout.splitlines()
    assert [json.loads(line)["tokens"] for line in shuffled] == [each["tokens"] for each in told]


@pytest.mark.parametrize("cut", [0, 1, 400, 2000, -1])
def test_a_run_that_was_cut_anywhere_goes_on_to_the_same_file(files, cut):
    whole, part = files / "whole.jsonl", files / "part.jsonl"
    run(files, "--out", str(whole), "--batch", "4")
    part.write_bytes(whole.read_bytes()[:cut])
    kept = part.read_bytes().rpartition(b"\n")[0]
    assert run(files, "--out", str(part), "--batch", "4").exit_code == 0
    assert records(part) == records(whole)
    assert part.read_bytes().startswith(kept)  # what was done is not done again
    before = part.read_bytes()
    assert run(files, "--out", str(part), "--batch", "4").exit_code == 0 and part.read_bytes() == before


def test_an_interrupted_run_says_so_and_goes_on(files, monkeypatch):
    each = Runner.each

    def interrupted(self, *arguments, **options):
        for number, result in enumerate(each(self, *arguments, **options)):
            if number == 6:
                raise KeyboardInterrupt
            yield result

    run(files, "--out", str(files / "whole.jsonl"), "--batch", "4")
    monkeypatch.setattr(Runner, "each", interrupted)
    stopped = run(files, "--out", str(files / "part.jsonl"), "--batch", "4")
    assert stopped.exit_code == 130 and "goes on from here" in stopped.stderr
    monkeypatch.setattr(Runner, "each", each)
    assert len((files / "part.jsonl").read_text().splitlines()) == 6
    assert run(files, "--out", str(files / "part.jsonl"), "--batch", "4").exit_code == 0
    assert records(files / "part.jsonl") == records(files / "whole.jsonl")


def test_a_killed_run_goes_on_to_the_same_file(files):
    whole, part = files / "whole.jsonl", files / "part.jsonl"
    run(files, "--out", str(whole), "--batch", "1")
    program = [Path(sys.executable).with_name("penstock"), "run", files / "spec.yaml", "--prompts", files / "prompts.jsonl"]
    process = subprocess.Popen([*program, "--out", part, "--batch", "1"], env=os.environ | {"OMP_NUM_THREADS": "1"})
    while process.poll() is None and not (part.exists() and part.stat().st_size > 2000):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run(files, "--out", str(part), "--batch", "1").exit_code == 0
    assert records(part) == records(whole)


OTHERWISE = [("--seed", "4"), ("-o", "generate.max_new_tokens=5"), ("--param", "heat=2"), ("--logprobs", "raw")]


@pytest.mark.parametrize("options", OTHERWISE, ids=" ".join)
def test_results_of_another_run_are_not_added_to(files, options):
    out = files / "all.jsonl"
    run(files, "--out", str(out))
    before = out.read_bytes()
    refused = run(files, "--out", str(out), *options)
    assert refused.exit_code == 2 and "all.jsonl:1:1: the file holds results of another run" in refused.stderr
    assert out.read_bytes() == before


@pytest.mark.parametrize("held", [b"my notes", b"my notes\n", b"[1]\n", b"\x00\xff"])
def test_a_file_of_something_else_is_left_alone(files, held):
    (files / "notes").write_bytes(held)
    refused = run(files, "--out", str(files / "notes"))
    assert refused.exit_code == 2 and "fix: name another --out file" in refused.stderr
    assert (files / "notes").read_bytes() == held


def test_results_that_cannot_be_kept_are_one_message(files):
    for place in (files, files / "none" / "a.jsonl"):
        refused = run(files, "--out", str(place))
        assert refused.exit_code == 2 and "results cannot be kept here" in refused.stderr


BROKEN = {
    '{"prompt": "1"': "2:15: not JSON: Expecting ',' delimiter",
    "3": "2:1: a int is no prompt",
    '{"promt": "1"}': "2:1: there is no field 'promt'",
    '{"prompt": "1", "messages": []}': "2:1: give either a prompt or messages",
    '{"params": {}}': "2:1: give either a prompt or messages",
    '{"prompt": 1}': "2:1: the prompt is no text",
    '{"messages": [{"role": "user"}]}': "2:1: messages are not all of the form role and content",
    '{"prompt": "1", "params": {"heat": true}}': "2:1: params are not numbers by name",
    '{"prompt": "1", "params": {"heat": NaN}}': "2:1: params are not numbers by name",
    "[" * 100_000: "2:1: maximum recursion depth exceeded",
}


@pytest.mark.parametrize("line", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_line_is_told_by_its_number_and_the_rest_runs_if_asked(files, line):
    (files / "broken.jsonl").write_text(f'"1 2"\n{line}\n\n"3"\n')
    refused = run(files, "--out", str(files / "out.jsonl"), prompts="broken.jsonl")
    assert refused.exit_code == 2 and f"broken.jsonl:{BROKEN[line]}" in refused.stderr
    assert "--keep-going" in refused.stderr and not (files / "out.jsonl").exists()
    kept = run(files, "--out", str(files / "out.jsonl"), "--keep-going", prompts="broken.jsonl")
    assert kept.exit_code == 1 and f"left out: {files / 'broken.jsonl'}:{BROKEN[line]}" in kept.stderr
    assert [each["prompt"] for each in records(files / "out.jsonl")] == ["1 2", "3"]


def test_a_parameter_that_some_lines_lack_is_told(files):
    (files / "some.jsonl").write_text('{"prompt": "1", "params": {"heat": 1}}\n"2"\n')
    refused = run(files, "--json", prompts="some.jsonl")
    assert refused.exit_code == 2 and "line 2 has no parameter heat, as other lines have" in refused.stderr
    assert run(files, "--json", "--param", "heat=2", prompts="some.jsonl").exit_code == 0


def test_a_prompt_that_cannot_be_decoded_is_a_broken_line_too(files):
    (files / "unfit.jsonl").write_text('"1 2"\n{"prompt": ""}\n{"prompt": "9"}\n{"prompt": "3", "params": {"heat": -1}}\n"4"\n')
    refused = run(files, "--json", prompts="unfit.jsonl")
    assert refused.exit_code == 2 and refused.stdout == ""
    assert "unfit.jsonl:2:1: the prompt is empty for view t; 2 more lines are broken" in refused.stderr
    kept = run(files, "--json", "--keep-going", prompts="unfit.jsonl")
    assert kept.exit_code == 1 and kept.stderr.count("left out: ") == 3
    assert [json.loads(line)["prompt"] for line in kept.stdout.splitlines()] == ["1 2", "4"]
