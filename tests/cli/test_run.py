"""`penstock run` on exact toy models: text, counts, guarantee, request parameters."""

import pytest
from typer.testing import CliRunner

from penstock.cli.commands import app

SPEC = """\
penstock: 1
models: {t: "table:7:1", d: "table:7:2"}
pipeline:
  - drafter.model: {model: d, length: 3}
  - verifier.model: {model: t}
  - transform.temperature: {value: {param: heat, default: 0.8}}
  - transform.top_k: {k: {param: most, default: 7}}
generate: {max_new_tokens: 12, seed: 3}
prompts: ["1 2", "6"]
"""


@pytest.fixture
def run(tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC)
    return lambda *options: CliRunner().invoke(app, ["run", str(spec), *options])


def test_run_prints_text_counts_and_the_guarantee(run):
    out = run().output
    assert out.count("length: 12 tokens in ") == 2 and out.count(" a forward") == 2
    assert "guarantee: exact (same distribution as the reference)" in out


def test_a_request_parameter_changes_the_text_and_its_absence_does_not(run):
    assert run().output == run("--param", "heat=0.8").output
    assert run().output != run("--param", "heat=0").output
    assert run("--param", "heat=0", "--seed", "1").output == run("--param", "heat=0", "--seed", "2").output


@pytest.mark.parametrize(
    "option, message",
    [
        ("heat=warm", "--param heat=warm: the value is no number"),
        ("cold=1", "no stage has a request parameter 'cold'"),
        ("heat", "--param heat: there is no = between a name and a value"),
        ("heat=inf", "--param heat=inf: the value is no finite number"),
        (f"heat={'9' * 400}", f"--param heat={'9' * 55}...: the value is no finite number"),
        (f"heat={'9' * 9999}", "the value is no finite number"),
        (f"most={10**30}", "should be less than or equal to 9223372036854775807"),
        ("most=0.5", "request parameter most is 0.5"),
    ],
)
def test_a_wrong_parameter_is_one_message(run, option, message):
    result = run("--param", option)
    assert result.exit_code == 2 and message in result.output and "Traceback" not in result.output


@pytest.mark.parametrize(
    "edit",
    [
        lambda lines: [lines[0], lines[2]],
        lambda lines: lines[::-1],
        lambda lines: [*lines, lines[0]],
        lambda lines: [lines[0].replace('"1 2"', '"2 1"'), *lines[1:]],
    ],
    ids=["one taken out", "turned round", "one added", "another prompt"],
)
def test_a_results_file_that_was_changed_is_refused(run, tmp_path, edit):
    out = tmp_path / "out.jsonl"
    asked = ("--prompt", "1 2", "--prompt", "6", "--prompt", "3", "--out", str(out))
    assert run(*asked).exit_code == 0
    whole = out.read_text()
    out.write_text(whole[: whole.index("\n") + 9])
    assert run(*asked).exit_code == 0 and out.read_text().count("\n") == 3
    out.write_text("".join(edit(whole.splitlines(True))))
    changed = run(*asked)
    assert changed.exit_code == 2 and "this is not the result of prompt" in changed.output


@pytest.mark.parametrize("option", [("--json",), ("--logprobs", "raw"), ("--out", "results.jsonl")])
def test_a_stream_refuses_what_it_would_not_obey(run, option):
    result = run("--prompt", "6", "--stream", *option)
    assert result.exit_code == 2 and f"--stream prints text alone, and {option[0]} asks for more" in result.output
