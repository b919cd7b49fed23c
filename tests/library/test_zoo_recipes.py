"""What is minimised, on numbers known beforehand; on any device, in either precision."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.fx.experimental import _config as fx_config
from zoo_runs import TINY, begin, curve, numbers

from penstock.ir.errors import PenstockError
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
    logits = torch.zeros(3, 4)
    masked = torch.tensor([[True, False, False], [True, True, False]])
    weights = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.5, 1.0]])
    loss = losses.masked_token(logits, torch.zeros(2, 3, dtype=torch.long), masked, torch.tensor([0.5, 0.25]), weights)
    torch.testing.assert_close(loss, torch.tensor(4.0).log() * (1 / 0.5 + 1.5 / 0.25) / 5.5)


def test_what_has_no_weight_is_never_hidden(tmp_path):
    """The request of a canvas is given: it is never what the model has to restore."""
    run = begin(tmp_path, replace(TINY, recipe="masked-diffusion"))
    asked = []
    run.model.base_model.register_forward_pre_hook(lambda module, given: asked.append(given[0]))
    batch = numbers(0)
    weights = torch.ones_like(batch.weights)
    weights[:, :9] = 0
    for step in range(20):
        run.recipe(run.model, batch._replace(weights=weights), step)
    hidden = torch.stack(asked) != batch.ids[:, :-1]
    assert not hidden[..., :9].any() and hidden[..., 9:].any(0).all()


def test_a_verdict_moves_nothing_but_the_choice_between_the_two(tmp_path):
    """What a model says besides, it may go on saying: a head's rows of other tokens get no gradient."""
    run = begin(tmp_path, replace(TINY, recipe="judging"))
    head = torch.nn.Parameter(run.model.lm_head.weight.detach().clone())
    run.model.lm_head.weight = head
    judged = numbers(0)._replace(weights=torch.zeros(2, 25), verdicts=torch.full((2, 25), markers.VERDICTS[0]))
    run.recipe(run.model, judged, 0).backward()
    assert head.grad.abs().sum(1).nonzero().flatten().tolist() == list(markers.VERDICTS)


def test_the_loss_of_a_verdict_is_the_surprise_at_it_among_the_two(tmp_path):
    run = begin(tmp_path, replace(TINY, recipe="judging"))
    good, bad = markers.VERDICTS
    given = torch.full((2, 25), NONE)
    given[0, 3], given[1, 5] = good, bad
    batch = numbers(0)._replace(verdicts=given)
    logits = run.model(batch.ids[:, :-1]).logits
    expected = -(logits[0, 3, [good, bad]].log_softmax(-1)[0] + logits[1, 5, [good, bad]].log_softmax(-1)[1]) / 2
    torch.testing.assert_close(run.recipe(run.model, batch, 0), expected)


def test_judging_without_verdicts_is_refused(tmp_path):
    run = begin(tmp_path, replace(TINY, recipe="judging"))
    with pytest.raises(PenstockError, match="hold no verdicts"):
        run.recipe(run.model, numbers(0), 0)


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

    def base_model(self, ids, attention_mask=None, use_cache=True):
        seen = 0 if attention_mask is None else attention_mask[:, 0].sum(-1, keepdim=True)
        return SimpleNamespace(last_hidden_state=self.embed(ids) + seen)

    def get_output_embeddings(self):
        return self.head

    def forward(self, ids, use_cache=True):
        return SimpleNamespace(logits=self.head(self.base_model(ids).last_hidden_state))


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_stays_behind_on_another_device(monkeypatch, recipe):
    """On ``meta`` tensors have no values, but mixing them with others fails as it does on a GPU."""
    monkeypatch.setattr("penstock.library.zoo.train.recipes.load", lambda name: Skeleton())
    judged = numbers(0)._replace(verdicts=torch.full((2, 25), NONE))
    with fx_config.patch(meta_nonzero_assume_all_nonzero=True):
        loss = RECIPES[recipe](TINY, 2)(Skeleton().to("meta"), judged.to("meta"), 0)
    assert loss.device.type == "meta"


@pytest.mark.parametrize("recipe", RECIPES)
def test_bfloat16_learns_about_the_same(tmp_path, exported, recipe):
    plan = replace(TINY, recipe=recipe, teacher="tiny")
    curves = []
    for precision in ("float32", "bfloat16"):
        run = begin(tmp_path / precision, replace(plan, precision=precision))
        if recipe == "judging":
            run.batch = lambda step: numbers(step)._replace(verdicts=torch.full((2, 25), markers.VERDICTS[step % 2]))
        run.run()
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
