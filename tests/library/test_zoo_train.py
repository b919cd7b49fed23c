"""The trainer: a killed run continues as if nothing had happened, and a NaN costs no good weights."""

import json
from dataclasses import replace

import pytest
import torch

from penstock.ir.errors import PenstockError
from penstock.library import zoo
from penstock.library.zoo import export
from penstock.library.zoo.train import checkpoint, losses, optimizer, plans
from penstock.library.zoo.train.__main__ import main
from penstock.library.zoo.train.batches import Batch
from penstock.library.zoo.train.loop import Training
from penstock.library.zoo.train.plans import Plan, Shape
from penstock.library.zoo.train.recipes import RECIPES, see_all

TINY = Plan("tiny", Shape(16, 1, 2, 2, 32), "language", steps=6, warmup=2, rows=2, length=24)


def numbers(step):
    """Rows that count up from a place the step decides."""
    return Batch((torch.arange(25) + 7 * step + torch.tensor([[20], [900]])) % 4096, torch.ones(2, 25))


def begin(out, plan=TINY, batch=numbers, **rest):
    return Training(plan, plan.steps, out, batch, RECIPES[plan.recipe](plan, 2), **rest)


def curve(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


def test_a_kill_while_writing_leaves_the_older_checkpoint(tmp_path):
    begin(tmp_path).run(until=2)
    (tmp_path / "step-0000003.partial").mkdir()
    assert begin(tmp_path).step == 2


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


def test_divergence_of_two_known_laws():
    p, q = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.25, 0.5, 0.25])
    student, teacher = q.log().expand(2, 3, 3), p.log().expand(2, 3, 3) + 5
    expected = 0.5 * torch.tensor(2.0).log() - 0.25 * torch.tensor(2.0).log()
    torch.testing.assert_close(losses.divergence(student, teacher, torch.ones(2, 3)), expected)
    assert float(losses.divergence(teacher, teacher, torch.ones(2, 3))) == pytest.approx(0, abs=1e-7)


def test_masked_loss_weighs_by_the_rate_and_ignores_what_is_seen():
    logits = torch.zeros(2, 3, 4)
    masked = torch.tensor([[True, False, False], [True, True, False]])
    loss = losses.masked_token(logits, torch.zeros(2, 3, dtype=torch.long), masked, torch.tensor([0.5, 0.25]), torch.ones(2, 3))
    torch.testing.assert_close(loss, torch.tensor(4.0).log() * (1 / 0.5 + 2 / 0.25) / 6)


def test_masks_hide_the_share_they_say():
    hidden, rate = losses.draw_mask(torch.Size([8, 4000]), step=5, seed=0)
    assert rate.min() >= 0.02 and rate.max() <= 1
    torch.testing.assert_close(hidden.float().mean(1), rate, atol=0.03, rtol=0)
    again, _ = losses.draw_mask(torch.Size([8, 4000]), step=5, seed=0)
    assert torch.equal(hidden, again)


def test_seeing_all_reaches_the_last_token_from_the_first(tmp_path):
    model = begin(tmp_path).model.eval()
    ids = numbers(0).ids[:1]
    other = ids.clone()
    other[0, -1] = 5
    assert not torch.equal(see_all(model, ids)[0, 0], see_all(model, other)[0, 0])
    assert torch.equal(model(ids).logits[0, 0], model(other).logits[0, 0])


def test_distillation_follows_its_teacher(tmp_path, monkeypatch):
    begin(tmp_path / "run").run()
    export.export(tmp_path / "run", tmp_path / "models" / "tiny")
    monkeypatch.setattr("penstock.library.zoo.train.recipes.path", lambda name: tmp_path / "models" / name)
    student = replace(TINY, recipe="distillation", teacher="tiny", steps=12, seed=1)
    begin(tmp_path / "student", student).run()
    losses_seen = [loss for _, loss in curve(tmp_path / "student")]
    assert losses_seen[-1] < losses_seen[0]


def test_an_export_is_bfloat16_and_says_where_it_comes_from(tmp_path):
    begin(tmp_path / "run").run(until=2)
    model = export.export(tmp_path / "run", tmp_path / "tiny")
    assert model.dtype == torch.bfloat16
    told = json.loads((tmp_path / "tiny" / "training.json").read_text())
    assert (told["step"], told["plan"]["name"]) == (2, "tiny")


def test_an_unknown_name_is_told_the_known_ones(tmp_path, capsys):
    with pytest.raises(PenstockError, match="target"):
        plans.plan("nobody")
    with pytest.raises(PenstockError, match="no model 'nobody'"):
        zoo.path("zoo:nobody")
    assert main(["nobody", "--out", str(tmp_path)]) == 2
    assert "fix: name one of target" in capsys.readouterr().err
