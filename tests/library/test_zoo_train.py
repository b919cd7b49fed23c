"""The course of a run: killed or stopped it continues as if nothing had happened, and a NaN costs no good weights."""

import json
import signal
from dataclasses import replace

import pytest
import torch
from zoo_runs import TINY, begin, curve, numbers

from penstock.ir.errors import PenstockError
from penstock.library.zoo.train import checkpoint, log, optimizer
from penstock.library.zoo.train.loop import Training
from penstock.library.zoo.train.plans import Plan
from penstock.library.zoo.train.recipes import RECIPES


@pytest.mark.parametrize("recipe", ["language", "masked-diffusion"])
def test_a_killed_run_continues_exactly(tmp_path, recipe):
    plan = replace(TINY, recipe=recipe)
    begin(tmp_path / "whole", plan).run()
    begin(tmp_path / "killed", plan).run(until=3)
    lost = begin(tmp_path / "killed", plan)
    lost._write(lost.learn())  # a step after the checkpoint, lost with the process
    begin(tmp_path / "killed", plan).run()
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    ends = [checkpoint.latest(tmp_path / name) / "model.safetensors" for name in ("whole", "killed")]
    assert ends[0].read_bytes() == ends[1].read_bytes()


def test_a_nan_stops_with_the_last_good_checkpoint(tmp_path):
    def poisoned(model, batch, step):
        loss = RECIPES["language"](TINY, 2)(model, batch, step)
        return loss * float("nan") if step == 4 else loss

    run = Training(TINY, TINY.steps, tmp_path, numbers, poisoned, every=0.0)
    with pytest.raises(PenstockError, match="step 5 has loss nan.*\n.*step-0000004"):
        run.run()
    kept = checkpoint.load_model(checkpoint.latest(tmp_path))
    assert all(bool(each.isfinite().all()) for each in kept.parameters())
    assert all(torch.equal(a, b) for a, b in zip(kept.parameters(), run.model.parameters(), strict=True))


def test_two_checkpoints_are_kept(tmp_path):
    begin(tmp_path, every=0.0).run()
    assert [each.name for each in sorted(tmp_path.glob("step-*"))] == ["step-0000005", "step-0000006"]


def test_frozen_parameters_stay(tmp_path):
    run = begin(tmp_path, replace(TINY, frozen=("embed", "layernorm")))
    before = {name: each.clone() for name, each in run.model.named_parameters()}
    run.run()
    same = {name for name, each in run.model.named_parameters() if torch.equal(each, before[name])}
    assert same == {name for name in before if "embed" in name or "layernorm" in name}


def test_the_rate_rises_then_falls_to_nothing():
    rates = [optimizer.rate(TINY, step, 6) / TINY.peak for step in range(6)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])


def test_a_run_starts_with_the_weights_its_plan_names(tmp_path, exported):
    run = begin(tmp_path / "second", replace(TINY, name="second", start="tiny"))
    for mine, theirs in zip(run.model.parameters(), checkpoint.load_model(exported).parameters(), strict=True):
        assert torch.equal(mine, theirs)
    run.run()
    assert not torch.equal(next(run.model.parameters()), next(checkpoint.load_model(exported).parameters()))
    with pytest.raises(PenstockError, match="which has another shape"):
        begin(tmp_path / "third", replace(TINY, start="tiny", shape=replace(TINY.shape, intermediate=48)))


def test_an_export_is_bfloat16_and_says_where_it_comes_from(exported):
    assert checkpoint.AutoModelForCausalLM.from_pretrained(exported).dtype == torch.bfloat16
    told = json.loads((exported / "training.json").read_text())
    assert (told["step"], told["plan"]["name"]) == (2, "tiny")
    assert Plan.recorded(told["plan"]) == TINY


@pytest.mark.parametrize("change", [{"seed": 1}, {"recipe": "masked-diffusion"}, {"shape": replace(TINY.shape, hidden=32)}])
def test_a_folder_of_another_run_is_refused(tmp_path, change):
    begin(tmp_path).run(until=2)
    with pytest.raises(PenstockError, match=f"another one: {next(iter(change))} was"):
        begin(tmp_path, replace(TINY, **change))


def test_a_run_is_resumed_on_the_same_text_for_more_steps(tmp_path):
    begin(tmp_path, about={"text": ["a.txt"]}).run(until=2)
    assert begin(tmp_path, replace(TINY, steps=9), about={"text": ["a.txt"]}).step == 2
    with pytest.raises(PenstockError, match="text was .*a.txt.* and is "):
        begin(tmp_path, about={"text": []})


def test_ctrl_c_ends_the_step_and_leaves_a_checkpoint(tmp_path):
    run = begin(tmp_path / "stopped", evaluate=lambda model: {"measured": 1.0})
    run.report = lambda line: signal.raise_signal(signal.SIGINT) if line["step"] == 3 else None
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert signal.getsignal(signal.SIGINT) is before
    assert checkpoint.latest(run.out).name == "step-0000003"
    begin(tmp_path / "whole").run()
    begin(tmp_path / "stopped").run()
    assert curve(tmp_path / "stopped") == curve(tmp_path / "whole")


def test_half_a_line_at_the_end_of_the_log_is_dropped(tmp_path):
    for step in (1, 2, 3):
        log.append(tmp_path, {"step": step, "loss": 1.0})
    with (tmp_path / log.NAME).open("a") as file:
        file.write('{"step": 2, "lo')
    log.forget_after(tmp_path, 2)
    assert curve(tmp_path) == [(1, 1.0), (2, 1.0)]
