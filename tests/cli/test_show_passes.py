"""``penstock show --passes``: the step before and after, what fired and why others did not, and switches."""

import re
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

import penstock
from penstock.cli.commands import app
from penstock.ir.errors import PenstockError

EXAMPLES = Path(__file__).parents[2] / "examples"
SPEC = """
    penstock: 1
    models: {target: zoo:target, draft: zoo:drafter-small}
    pipeline:
      - drafter.model: {model: draft, length: 2}
      - verifier.model: {model: target}
      - transform.top_k: {k: 40}
      - transform.temperature: {value: 0}
    generate: {max_new_tokens: 4}
    prompts: ["Mia has 3"]
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "greedy.yaml"
    path.write_text(textwrap.dedent(SPEC))
    return path


def shown(*arguments):
    result = CliRunner().invoke(app, ["show", *map(str, arguments)])
    return result.exit_code, result.output


def test_it_tells_what_fired_where_and_what_changed(spec):
    code, text = shown(spec, "--passes")
    assert code == 0
    before, after = text.split("simplify: changed")[0], text.split("step as optimised")[1]
    assert "top_k(" in before and "race(" in before and "top_k(" not in after and "race(" not in after
    assert "  fired: certain_race at drafter.model.0, greedy.yaml:5:5 (2 times)\n" in text
    assert re.search(r"\n  - %scale = scale\(%\w+, 0.0\) : f32\[b,1,v\]", text)
    assert re.search(r"\n  \+ %greedy = greedy\(%\w+\)", text)
    assert "<certain_race>" in after  # a rewritten node says by what, under the line it leads back to


def test_it_tells_why_a_rule_did_not_fire(spec):
    _, text = shown(spec, "--passes", "-o", "transform.temperature.value=0.7")
    assert "argmax_invariance: nothing to do" in text
    assert "  not: scaled_by_nothing at transform.temperature.0, greedy.yaml:8:5: the temperature is 0.7 (3 times)\n" in text
    assert "  fired: keep_first at state: the view target is fed a chain of 2\n" in text
    assert "  not: in_place at accept: the draft's distributions are made anew, f32[b,2,v]: the walk" in text
    assert "  not: greedy_walk at accept: it selects from what scale leaves, which is not one token\n" in text


def test_hidden_states_that_no_stage_wants_are_printed_as_none():
    _, text = shown(EXAMPLES / "guidance.yaml", "--passes")
    stacked = r"view_target', view_unconditional', %\d+, \(\), %\d+ = forward_stacked\("
    assert re.search(stacked, text.split("step as optimised")[1])


def test_what_is_switched_off_is_said_and_changes_no_token(spec):
    _, text = shown(spec, "--passes", "--without", "argmax_invariance")
    assert "argmax_invariance: switched off" in text and "race" in text.split("step as optimised")[1]
    asked = [penstock.compile(penstock.load(spec), without=without) for without in ((), ("argmax_invariance", "simplify"))]
    assert len({tuple(each.generate(["Mia has 3"])[0].tokens) for each in asked}) == 1


def test_it_tells_what_inductor_compiles_and_where_walks_run(spec):
    sampled = ("--passes", "--backend", "inductor", "-o", "transform.temperature.value=0.7")
    _, text = shown(spec, *sampled, "-o", "drafter.model.length=1")
    assert "  walk of accept, on the host: it draws among candidates, for which the host has kernels\n" in text
    _, text = shown(spec, *sampled, "--without", "narrow", "--without", "fuse_sampling")
    regions = text.split("inductor\n  walk of accept, on the host: ")[1].split("step in 2 regions\n")[1]
    draws = [line for line in regions.splitlines() if "= earliest(" in line]
    assert [line.rsplit("  ", 1)[1] for line in draws] == ["[region 0]", "[region 1]"]
    assert not [line for line in regions.splitlines() if "= top_k(" in line and "[region" in line]  # a sort, where it is compiled
    _, text = shown(spec, "--passes", "--without", "narrow")
    assert "region" not in text


def test_it_tells_what_a_device_is_waited_for(spec):
    """Three draws that feed forwards, and a walk: one read. Under inductor on the CPU the host reads each draw."""
    drafted = ("--passes", "-o", "transform.temperature.value=0.7", "-o", "drafter.model.length=3")
    told = {}
    for backend in ("inductor", "lockstep"):
        _, text = shown(spec, *drafted, "--without", "narrow", "--without", "fuse_sampling", "--backend", backend)
        told[backend] = [line for line in text.splitlines() if line.startswith("  read: ")]
    assert told["lockstep"] == ["  read: the block of region 3, for accept, state"]
    assert told["inductor"] == [f"  read: the block of region {level}, for drafter.model.0" for level in range(3)]


def test_mistakes(spec):
    code, text = shown(spec, "--backend", "inductor")
    assert code == 2 and "a backend changes nothing of the stage spec" in text
    code, text = shown(spec, "--passes", "--backend", "cuda")
    assert code == 2 and "there is no backend 'cuda' to show" in text and "inductor" in text
    code, text = shown(spec, "--passes", "--without", "narow")
    assert code == 2 and "no optimisation 'narow'" in text and "fix: name one of simplify" in text
    code, text = shown(spec, "--passes", "--format", "svg")
    assert code == 2 and "as text, not as svg" in text
    with pytest.raises(PenstockError, match="no optimisation"):
        penstock.compile(penstock.load(spec), without=["narow"])
