"""`penstock zoo`: the list, and training that is stopped, resumed and refused."""

import json
import signal

import pytest
from typer.testing import CliRunner
from zoo_runs import TINY, begin, curve

from penstock.cli.commands import app
from penstock.library.zoo import export, index
from penstock.library.zoo.index import Entry, Seal
from penstock.library.zoo.train import checkpoint
from penstock.library.zoo.train.plans import PLANS


def penstock(*arguments):
    return CliRunner().invoke(app, ["zoo", *map(str, arguments)])


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "ROOT", tmp_path / "zoo")
    (tmp_path / "zoo").mkdir()
    figures = {"exact match": {"long": 0.85, "brief": 0.5}, "bits per byte": {"record": 0.1}}
    entries = {"target": Entry("decoding", 1234567, {"model.safetensors": Seal(2_500_000, "0")}, figures)}
    index.write({**entries, "fair": Entry("comparing", 99, {})})


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A plan so small that it is trained while one looks."""
    monkeypatch.setattr(index, "ROOT", tmp_path / "zoo")
    monkeypatch.setitem(PLANS, "tiny", TINY)
    return tmp_path / "run"


def test_the_list_tells_size_parameters_purpose_and_a_line_of_the_card(shelf):
    done = penstock()
    assert done.exit_code == 0
    for told in ("zoo:target", "zoo:target-strong", "1,234,567", "2.5 MB", "decoding", "exact match: long 0.85", "not yet"):
        assert told in done.stdout


def test_the_list_as_json_has_everything(shelf):
    told = {row["model"]: row for row in json.loads(penstock("--json").stdout)}
    assert told["zoo:target"]["also"] == ["zoo:target-strong"]
    assert (told["zoo:target"]["parameters"], told["zoo:target"]["bytes"]) == (1234567, 2_500_000)
    assert told["zoo:target"]["figures"]["bits per byte"] == {"record": 0.1}
    assert told["zoo:fair"] == {"model": "zoo:fair", "also": [], "parameters": 99, "bytes": 0, "for": "comparing", "figures": {}}


def test_training_goes_to_its_end_and_says_where_it_is(tiny):
    done = penstock("train", "tiny", "--out", tiny, "--steps", "3")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == str(tiny / "step-0000003")
    assert "held_out" in done.stderr and "Traceback" not in done.stderr
    assert [step for step, _ in curve(tiny)] == [1, 2, 3]


def test_seed_and_steps_are_those_asked_for(tiny):
    penstock("train", "tiny", "--out", tiny, "--steps", "1", "--seed", "5")
    state = checkpoint.state(checkpoint.latest(tiny))
    assert (state["plan"]["seed"], state["steps"], state["plan"]["name"]) == (5, 1, "tiny")


def test_ctrl_c_leaves_a_checkpoint_and_the_same_command_goes_on(tiny, monkeypatch):
    learn = begin.__globals__["Training"].learn

    def pressed(run):
        line = learn(run)
        if run.step == 2:
            signal.raise_signal(signal.SIGINT)
        return line

    monkeypatch.setattr("penstock.library.zoo.train.loop.Training.learn", pressed)
    done = penstock("train", "tiny", "--out", tiny, "--steps", "4")
    assert done.exit_code == 130
    assert done.stderr.endswith("stopped; the same command goes on from the last checkpoint\n")
    assert checkpoint.latest(tiny).name == "step-0000002"
    monkeypatch.setattr("penstock.library.zoo.train.loop.Training.learn", learn)
    assert penstock("train", "tiny", "--out", tiny, "--steps", "4").exit_code == 0
    assert [step for step, _ in curve(tiny)] == [1, 2, 3, 4]


MISTAKES = {
    "no such model": (("train", "nobody"), "no plan trains 'nobody'"),
    "no steps": (("train", "tiny", "--steps", "0"), "--steps"),
    "a seed too large": (("train", "tiny", "--seed", str(2**40)), "--seed"),
    "no such device": (("train", "tiny", "--device", "tpu"), "--device"),
    "no such folder of text": (("train", "tiny", "--text", "nowhere"), "no *.txt file here"),
    "a teacher that is not here": (("train", "drafter-tiny"), "no model 'target'"),
    "no such command": (("sell",), "sell"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_message_and_exit_code_2(tiny, arguments, message):
    done = penstock(*arguments, "--out", tiny) if arguments[0] == "train" else penstock(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and not list(tiny.glob("step-*"))


def test_a_run_needs_a_folder(tiny):
    assert penstock("train", "tiny").exit_code == 2
    tiny.write_text("in the way")
    done = penstock("train", "tiny", "--out", tiny / "run")
    assert done.exit_code == 2 and "no run can be kept here" in done.stderr


def test_what_was_trained_can_be_exported_and_listed(tiny):
    penstock("train", "tiny", "--out", tiny, "--steps", "1")
    index.ROOT.mkdir()
    export.export(tiny)
    assert [row["model"] for row in json.loads(penstock("--json").stdout)] == ["zoo:tiny"]
