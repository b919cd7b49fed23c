"""What is minimised, on numbers known beforehand; on any device, in either precision."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from zoo_runs import TINY, begin, curve, numbers

from penstock.library.zoo import markers
from penstock.library.zoo.train import assemble, checkpoint, losses
from penstock.library.zoo.train.batches import NONE
from penstock.library.zoo.train.plans import PLANS
from penstock.library.zoo.train.recipes import RECIPES, see_all


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


def test_where_there_is_a_verdict_it_is_one_of_two():
    logits = torch.arange(8.0).expand(1, 2, 8)
    allowed = losses.among(logits, torch.tensor([[True, False]]), (2, 5))
    assert allowed[0, 0].isfinite().nonzero().flatten().tolist() == [2, 5]
    assert torch.equal(allowed[0, 1], logits[0, 1])
    surprise = losses.next_token(allowed, torch.tensor([[5, 0]]), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(surprise, (1 + torch.tensor(-3.0).exp()).log())


def test_a_verdict_moves_nothing_but_the_choice_between_the_two(tmp_path):
    """What a model says besides, it may go on saying: a head's rows of other tokens get no gradient."""
    run = begin(tmp_path)
    head = torch.nn.Parameter(run.model.lm_head.weight.detach().clone())
    run.model.lm_head.weight = head
    judged = numbers(0)._replace(weights=torch.zeros(2, 25), verdicts=torch.full((2, 25), markers.VERDICTS[0]))
    run.recipe(run.model, judged, 0).backward()
    assert head.grad.abs().sum(1).nonzero().flatten().tolist() == list(markers.VERDICTS)


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


def test_distillation_follows_its_teacher(tmp_path, exported):
    student = replace(TINY, recipe="distillation", teacher="tiny", steps=12, seed=1)
    begin(tmp_path / "student", student).run()
    losses_seen = [loss for _, loss in curve(tmp_path / "student")]
    assert losses_seen[-1] < losses_seen[0]


class Skeleton(torch.nn.Module):
    """Takes what a model takes and gives what it gives, with nothing in between that looks at values."""

    dtype = torch.float32

    def __init__(self):
        super().__init__()
        self.embed, self.head = torch.nn.Embedding(4096, 8), torch.nn.Linear(8, 4096)

    def forward(self, ids, attention_mask=None, use_cache=True):
        seen = 0 if attention_mask is None else attention_mask[:, 0].sum(-1, keepdim=True)
        return SimpleNamespace(logits=self.head(self.embed(ids) + seen))


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_stays_behind_on_another_device(monkeypatch, recipe):
    """On ``meta`` tensors have no values, but mixing them with others fails as it does on a GPU."""
    monkeypatch.setattr("penstock.library.zoo.train.recipes.load", lambda name: Skeleton())
    judged = numbers(0)._replace(verdicts=torch.full((2, 25), NONE))
    loss = RECIPES[recipe](TINY, 2)(Skeleton().to("meta"), judged.to("meta"), 0)
    assert loss.device.type == "meta"


@pytest.mark.parametrize("recipe", RECIPES)
def test_bfloat16_learns_about_the_same(tmp_path, exported, recipe):
    plan = replace(TINY, recipe=recipe, teacher="tiny")
    curves = []
    for precision in ("float32", "bfloat16"):
        begin(tmp_path / precision, replace(plan, precision=precision)).run()
        curves.append([loss for _, loss in curve(tmp_path / precision)])
    assert curves[0] != curves[1]
    assert curves[1] == pytest.approx(curves[0], abs=0.05)
    assert checkpoint.load_model(checkpoint.latest(tmp_path / "bfloat16")).dtype == torch.float32


def test_the_reward_model_learns_the_verdicts_it_is_given(tmp_path, exported):
    plan = replace(PLANS["reward"], shape=TINY.shape, start="tiny", rows=1, length=512, warmup=1, peak=0.02)
    run = assemble.training(plan, tmp_path / "reward", steps=12)
    always = run.batch(0)
    run.batch = lambda step: always
    run.run()
    seen = [loss for _, loss in curve(tmp_path / "reward")]
    assert seen[0] == pytest.approx(0.69, abs=0.1) and seen[-1] < 0.3
