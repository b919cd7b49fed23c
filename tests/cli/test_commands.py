"""The command line: what is printed, and how commands exit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli import prompts
from penstock.cli.commands import app
from penstock.library import STAGES

GOOD = """\
penstock: 1
models: {target: "table:5:1", draft: "table:5:2"}
pipeline:
  - drafter.model: {model: draft, length: 2}
  - verifier.model: {model: target}
  - transform.temperature: {value: 0.8}
generate: {max_new_tokens: 6, seed: 3}
prompts: ["1 2"]
"""


@pytest.fixture
def spec(tmp_path):
    def write(text: str = GOOD) -> str:
        (tmp_path / "a.yaml").write_text(text)
        return str(tmp_path / "a.yaml")

    return write


def penstock(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def timeless(record: dict) -> dict:
    kept = {name: value for name, value in record["stats"].items() if name not in ("seconds", "stages")}
    return record | {"stats": kept}


@pytest.mark.parametrize("command", ["run", "check", "explain", "certify"])
def test_a_mistake_is_one_message_and_exit_code_2(spec, command):
    done = penstock(command, spec(GOOD.replace("length: 2", "length: two")))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.endswith(
        "a.yaml:4:43: stage drafter.model, field length: should be a valid integer or should be 'auto' or should be a mapping, "
        'not "two"\n'
        "  4 |   - drafter.model: {model: draft, length: two}\n"
        "    |                                           ^\n"
        "  fix: for example `length: 4`\n"
    )
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["run", "check", "explain", "certify"])
def test_a_missing_file_is_exit_code_2(tmp_path, command):
    done = penstock(command, str(tmp_path / "none.yaml"))
    assert done.exit_code == 2
    assert "none.yaml: there is no such file" in done.stderr


def test_a_pipeline_that_means_nothing_is_exit_code_2(spec):
    done = penstock("check", spec(GOOD.replace("  - verifier.model: {model: target}\n", "")))
    assert done.exit_code == 2
    assert "verifier" in done.stderr


def test_the_installed_command_prints_no_traceback(tmp_path):
    program = Path(sys.executable).with_name("penstock")
    done = subprocess.run([program, "check", tmp_path / "none.yaml"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 2


def test_check_says_what_it_read(spec):
    done = penstock("check", spec())
    assert done.exit_code == 0
    assert "ok, drafter.model >> verifier.model >> transform.temperature" in done.stdout


def test_explain_prints_the_promise_and_the_step(spec):
    done = penstock("explain", spec())
    assert done.exit_code == 0
    assert "verifier.model >> transform.temperature" in done.stdout
    assert "forward(" in done.stdout


def test_certify_exits_with_what_holds(spec, monkeypatch):
    held = penstock("certify", spec(), "--json")
    assert held.exit_code == 0
    assert json.loads(held.stdout)["holds"] is True

    class Broken:
        holds = False

        def report(self) -> str:
            return "NOT exact"

    monkeypatch.setattr("penstock.certify", lambda pipeline: Broken(), raising=False)
    broken = penstock("certify", spec())
    assert (broken.exit_code, broken.stdout) == (1, "NOT exact\n")


def test_run_continues_the_specs_prompts_or_those_given(spec, tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("3\n\n4 1\n")
    own = records(penstock("run", spec(), "--json").stdout)
    given = records(penstock("run", spec(), "--json", "--prompt", "1 2", "--prompts", str(file)).stdout)
    assert [result["prompt"] for result in own] == ["1 2"]
    assert [result["prompt"] for result in given] == ["1 2", "3", "4 1"]
    assert timeless(own[0]) == timeless(given[0])
    assert len(own[0]["tokens"]) == 6 or own[0]["status"] != "length"


def test_run_takes_seed_and_length_from_the_command_line(spec):
    def tokens(*options: str) -> list[int]:
        return records(penstock("run", spec(), "--json", *options).stdout)[0]["tokens"]

    assert tokens() == tokens("--seed", "3")
    assert len({tuple(tokens("--seed", str(seed))) for seed in range(5)}) > 1
    assert len(tokens("--max-new-tokens", "2")) <= 2


def test_run_prints_text_and_counts(spec):
    done = penstock("run", spec())
    assert done.exit_code == 0
    assert "target forwards" in done.stdout


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_unreadable_prompts_are_exit_code_2(spec, tmp_path, content):
    file = tmp_path / "prompts.txt"
    if content is not None:
        file.write_bytes(content)
    done = penstock("run", spec(), "--prompts", str(file))
    assert done.exit_code == 2
    assert "prompts.txt: the prompts cannot be read" in done.stderr


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n  \r\n\x0c\n"])
def test_a_file_without_prompts_is_exit_code_2(spec, tmp_path, content):
    (tmp_path / "prompts.txt").write_bytes(content)
    done = penstock("run", spec(), "--prompts", str(tmp_path / "prompts.txt"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "prompts.txt: there is no prompt" in done.stderr


def test_a_line_ends_where_files_end_lines(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffone\u2028still\x0cone\x85\r\ntwo\n\nthree".encode())
    assert [line.prompt for line in prompts.read(file)] == ["one\u2028still\x0cone\x85", "two", "three"]


@pytest.mark.parametrize(
    "option",
    ["--max-new-tokens=1000001", "--max-new-tokens=0", "--max-new-tokens=" + "9" * 20, f"--seed={2**63}", "--seed=-1"],
)
def test_what_no_run_can_do_is_exit_code_2(spec, option):
    done = penstock("run", spec(), option)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"'{option.partition('=')[0]}': Input should be" in done.stderr


NO_PROMPTS = {"\udcff": r"--prompt '\udcff': not UTF-8 text", "9" * 5000: "'99999999999999999999...' is no text"}


@pytest.mark.parametrize("prompt, said", NO_PROMPTS.items(), ids=["surrogate", "long"])
def test_a_prompt_that_is_none_is_exit_code_2(spec, prompt, said):
    done = penstock("run", spec(), "--prompt", prompt)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr and len(done.stderr) < 300


@pytest.mark.parametrize("options", [["check"], ["run"], ["run", "--json"]])
def test_a_terminal_without_unicode_is_printed_to(tmp_path, options):
    path = tmp_path / "\u00e9.yaml"
    path.write_text(GOOD.replace("1 2", "\u0661 \u0662"), encoding="utf-8")  # Arabic for 1 2
    command = [Path(sys.executable).with_name("penstock"), *options, path]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    printed = {"check": b"/?.yaml: ok", "run": b"? ?", "--json": b'"prompt": "\\u0661 \\u0662"'}
    assert printed[options[-1]] in done.stdout


def test_no_prompt_is_exit_code_2(spec):
    done = penstock("run", spec(GOOD.replace('prompts: ["1 2"]\n', "")))
    assert done.exit_code == 2
    assert "no prompt" in done.stderr


def test_schema_and_stages_know_the_library():
    schema = json.loads(penstock("schema").stdout)
    listed = json.loads(penstock("stages", "--json").stdout)
    found = {row["stage"]: row for row in listed}
    assert found["drafter.model"]["effect"] == "accelerates"
    assert all(found[stage.kind]["meaning"] for stage in STAGES)
    assert "drafter.model" in json.dumps(schema)
    assert "transform.temperature" in penstock("stages").stdout
