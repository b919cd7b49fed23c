"""A kill at any moment of training or saving loses nothing beyond the last checkpoint: real processes, real SIGKILL."""

import json
import os
import subprocess
import sys
from pathlib import Path

import killed_run
import pytest
from zoo_runs import begin, curve

from penstock.library.zoo.train import checkpoint


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder of killed runs, and how often there was a kill."""
    folder = tmp_path_factory.mktemp("killed")
    script = Path(killed_run.__file__)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(script.parent), *sys.path])}
    done = subprocess.run(
        [sys.executable, script, folder], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_killed_before_any_file_operation_a_run_ends_as_if_it_never_was(killed):
    folder, kills = killed
    runs = sorted(folder.glob("event-*"))
    assert len(runs) == kills["events"] > 20  # one was killed before it had a folder, one was not killed
    behind = {begin(out, killed_run.PLAN).step for out in runs}
    assert behind == {0, 1, 2, 3}
    for out in runs:
        begin(out, killed_run.PLAN, every=0.0).run()
        ends_like(out, folder / "whole")


def test_killed_again_and_again_at_random_a_run_ends_as_if_it_never_was(killed):
    folder, kills = killed
    assert kills["by chance"] > 1
    ends_like(folder / "chance", folder / "whole")


def ends_like(out, whole):
    assert curve(out) == curve(whole)
    mine, theirs = ((checkpoint.latest(each) / "model.safetensors").read_bytes() for each in (out, whole))
    assert mine == theirs
    assert {each.name for each in out.iterdir()} - {"step-0000001"} == {"log.jsonl", "step-0000002", "step-0000003"}
