"""Plans and what they read: every plan can be begun, and the target's batches never change."""

from dataclasses import replace
from hashlib import sha256

import pytest
import torch
from transformers import LlamaForCausalLM
from zoo_runs import TINY, curve

from penstock.ir.errors import PenstockError
from penstock.library import zoo
from penstock.library.zoo import markers
from penstock.library.zoo.data.document import Part
from penstock.library.zoo.data.documents import DOCUMENTS
from penstock.library.zoo.train import assemble, batches, checkpoint, plans
from penstock.library.zoo.train.batches import NONE
from penstock.library.zoo.train.plans import PLANS, Plan
from penstock.library.zoo.train.recipes import RECIPES


def test_a_plan_kept_by_an_older_version_is_read():
    told = TINY.record()
    for later in ("documents", "start", "purpose"):
        del told[later]
    assert Plan.recorded(told) == TINY


def test_a_verdict_is_given_at_each_token_of_its_part(tokenizer):
    told = [Part("a b", 0.0), Part(" c.", 0.0, markers.GOOD), Part(" d.", 0.0, markers.BAD)]
    row = batches.batch(tokenizer, lambda index: told, 0, 1, 8)
    assert row.ids[0].tolist() == tokenizer("a b c. d.a b c.")["input_ids"][:9]
    good, bad = markers.VERDICTS
    assert row.verdicts[0].tolist() == [NONE, NONE, good, good, bad, bad, NONE, NONE, good]
    assert tokenizer.convert_ids_to_tokens([good, bad]) == [markers.GOOD, markers.BAD]


def test_a_canvas_is_one_dialogue_and_what_follows_its_end(tokenizer):
    row = batches.batch(tokenizer, DOCUMENTS["canvases"](0, "train", 0.0, None), 3, 2, 191)
    for ids, weights in zip(row.ids.tolist(), row.weights.tolist(), strict=True):
        prompt, reply = weights.count(0.0), weights.count(1.0)
        assert weights == [0.0] * prompt + [1.0] * reply + [pytest.approx(0.05)] * (192 - prompt - reply)
        assert ids[prompt - 1] == markers.SPECIAL.index(markers.ASSISTANT) and set(ids[prompt + reply - 1 :]) == {0}


def test_short_batches_come_first_or_in_turn():
    first, turns = replace(PLANS["target"], steps=20), replace(PLANS["diffusion"], steps=20)
    assert [first.measures(step, 20)[1] for step in (0, 11, 12, 19)] == [128, 128, 512, 512]
    assert [turns.measures(step, 20) for step in (6, 7, 9, 10, 17)] == [(24, 96), (12, 192), (12, 192), (24, 96), (12, 192)]


def test_what_the_target_reads_stays_what_it_was(tokenizer, tmp_path):
    """Digests of batches as they were when it was trained; whatever changes one makes its weights irreproducible."""
    (tmp_path / "book.txt").write_text("\n".join(f"line {number:06d} of the book" for number in range(20_000)))
    plan = PLANS["target"]
    for folder, expected in (
        (None, ("a5651b7dd76ef66d", "0cabcf268b917171")),
        (tmp_path, ("f7827af7d91eca41", "99f63d8666630f94")),
    ):
        document = DOCUMENTS[plan.documents](plan.seed, "train", plan.prose, folder)
        found = [batches.batch(tokenizer, document, step, *plan.measures(step, 6000)) for step in (0, 5000)]
        assert all(each.verdicts is None for each in found)
        written = [each.ids.numpy().tobytes() + each.weights.numpy().tobytes() for each in found]
        assert tuple(sha256(each).hexdigest()[:16] for each in written) == expected


def test_every_plan_comes_after_what_it_needs_and_names_what_there_is():
    done = set()
    for plan in PLANS.values():
        assert {plan.teacher, plan.start} - {None} <= done
        assert plan.documents in DOCUMENTS and plan.recipe in RECIPES and plan.purpose
        done.add(plan.name)


def test_a_drafter_costs_a_quarter_and_a_sixteenth():
    sizes = {name: sum(each.numel() for each in skeleton(PLANS[name]).parameters()) for name in PLANS}
    assert 1 / 5 < sizes["drafter-small"] / sizes["target"] < 1 / 3
    assert 1 / 20 < sizes["drafter-tiny"] / sizes["target"] < 1 / 12
    assert sizes["reward"] == sizes["diffusion"] == sizes["drafter-small"]
    assert sizes["biased"] == sizes["fair"] == sizes["drafter-tiny"]


@pytest.mark.parametrize("name", [name for name, plan in PLANS.items() if plan.teacher is None and plan.start is None])
def test_every_plan_can_be_begun(tmp_path, name):
    small = replace(PLANS[name], shape=TINY.shape, rows=1, length=128, warmup=1)
    run = assemble.training(small, tmp_path, steps=2)
    run.run()
    assert [step for step, _ in curve(tmp_path)] == [1, 2]
    state = checkpoint.state(checkpoint.latest(tmp_path))
    assert state["held_out"] and state["text"] == [] and "thread" in state["machine"]


def test_a_mistake_is_told_before_anything_is_trained(tmp_path, shelf):
    with pytest.raises(PenstockError, match=r"name one of target, drafter-small"):
        plans.plan("nobody")
    with pytest.raises(PenstockError, match="no model 'nobody'"):
        zoo.path("zoo:nobody")
    with pytest.raises(PenstockError, match="no \\*.txt file"):
        assemble.training(TINY, tmp_path / "run", text=tmp_path)
    (tmp_path / "short.txt").write_text("little")
    with pytest.raises(PenstockError, match="too little text"):
        assemble.training(TINY, tmp_path / "run", text=tmp_path)
    with pytest.raises(PenstockError, match="no model 'target'"):
        assemble.training(PLANS["drafter-tiny"], tmp_path / "run")


def test_text_is_no_part_of_a_run_that_reads_none(tmp_path, exported):
    plan = replace(PLANS["reward"], shape=TINY.shape, start="tiny")
    assert assemble.training(plan, tmp_path / "reward", steps=1, text=tmp_path).about["text"] == []


def test_a_device_that_is_not_there_is_a_mistake(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PenstockError, match="no CUDA device"):
        assemble.training(TINY, tmp_path, device="cuda")


def skeleton(plan):
    with torch.device("meta"):
        return LlamaForCausalLM(plan.config())
