"""Mirroring: the drafter follows the target's transforms, of every kind, and stays exact; a drafter like the target shows it."""

import pytest
from one_step import committed, mean

from penstock.ir.draft import Growth
from penstock.ir.show import show
from penstock.library import (
    Ambedkar,
    Del,
    LayerSkip,
    ModelDrafter,
    ModelVerifier,
    OrElse,
    Pause,
    Repetition,
    StochasticBeam,
    Temperature,
    TopK,
    TopKTree,
    TopP,
    ToyGrammar,
)
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages, small_world, step_of

TARGET = ModelVerifier(model="t")
SHAPES = {
    "temperature": (Temperature(value=0.4),),
    "top_k": (TopK(k=2),),
    "top_p": (TopP(p=0.6),),
    "penalty": (Repetition(alpha=3.0),),
    "grammar": (ToyGrammar.over(3),),
    "greedy": (Temperature(value=0),),
    "all": (Repetition(alpha=1.4), Temperature(value=0.7), TopK(k=2), ToyGrammar.over(3)),
}
LIKE_IT = {
    "chain": ModelDrafter(model="t", length=2),
    "paths": ModelDrafter(model="t", length=2, paths=2),
    "beam": StochasticBeam(model="t", width=2, length=2),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", LIKE_IT)
def test_a_drafter_like_the_target_is_never_refused(name, shape):
    """Its q is the target's p at every site, path state included; without the mirror it is not."""
    for mirror in (True, False):
        drafter = LIKE_IT[name].model_copy(update={"mirror": mirror})
        rows = decode_stages([drafter, TARGET, *SHAPES[shape]], range(24), limit=9)
        assert (max(row.steps for row in rows) == 3) == mirror


DRAFTERS = {
    "chain": ModelDrafter(model="d", length=2),
    "likeliest": ModelDrafter(model="d", length=2, greedy=True),
    "paths": ModelDrafter(model="d", length=2, paths=2),
    "beam": StochasticBeam(model="d", width=2, length=2),
    "tree": TopKTree(model="d", branching=(2, 1)),
    "layerskip": LayerSkip(model="t", exit=1, length=2),
    "del": Del(model="t", exits=(1, 2), longest=2),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", DRAFTERS)
def test_drafts_are_exact_with_a_mirror_and_without(name, shape):
    for mirror in (True, False):
        stages = [DRAFTERS[name].model_copy(update={"mirror": mirror}), TARGET, *SHAPES[shape]]
        certificate = certify_stages(stages, limit=3, eos=(2,), batch=2)
        assert certificate.holds, certificate.report()


def colder(p, temperature):
    """A distribution at a temperature."""
    powers = [x ** (1 / temperature) for x in p]
    return [x / sum(powers) for x in powers]


def test_a_mirror_accepts_more():
    """By the formula for independent draws, with the overlap of what is drafted and what is accepted."""
    target, draft = [0.5, 0.3, 0.2], [0.4, 0.35, 0.25]
    found, formula = [], []
    for mirror in (False, True):
        stages = [ModelDrafter(model="d", length=3, mirror=mirror), TARGET, Temperature(value=0.4)]
        found.append(mean(committed(stages, target, draft)))
        q = colder(draft, 0.4) if mirror else draft
        overlap = sum(map(min, colder(target, 0.4), q))
        formula.append((1 - overlap**4) / (1 - overlap))
    assert found == pytest.approx(formula, abs=1e-9)
    assert found[1] > found[0] + 0.3


def halves(first, second):
    """One drafter or the other, each with a mirror or without."""
    chain = ModelDrafter(model="d", length=1, mirror=second)
    return [OrElse(first=ModelDrafter(model="u", length=1, mirror=first), second=chain), TARGET, Repetition(alpha=1.4)]


def test_each_half_of_a_choice_mirrors_as_it_says():
    def mirrored(first, second):
        stages = halves(first, second)
        assert certify_stages(stages, limit=3).holds
        return show(step_of(elaborate(stages), small_world(stages)).graph, unfold=True).count("<mirror>")

    one, other = mirrored(True, False), mirrored(False, True)
    assert one > 0 and other > 0
    assert mirrored(True, True) == one + other
    assert mirrored(False, False) == 0
    assert [note.split(", ")[0] for note in elaborate(halves(False, True)).notes] == [
        "mirror: nothing onto drafter.or_else.0.first",
        "mirror: transform.repetition.0 onto drafter.or_else.0.second",
    ]


def test_what_reads_more_than_a_drafter_has_is_left_and_said():
    steered = Ambedkar(model="f", view="swapped", alpha=2.0, k=2)
    plan = elaborate([DRAFTERS["chain"], TARGET, steered, Repetition(), Pause(at=(0,))])
    assert [p.name for p in plan.mirrored] == ["transform.repetition.0"]
    assert plan.notes[-1] == "mirror: not steer.ambedkar.0, which reads more than a drafter has"
    assert not any("pause" in note for note in plan.notes)


# --- planted faults ------------------------------------------------------------------------------------------------
def test_a_path_state_that_stands_still_is_seen_by_what_is_accepted(monkeypatch):
    """Planted: the drafter's penalty knows the committed text alone, not its own draft."""
    monkeypatch.setattr("penstock.ir.draft.stepped", lambda step, states, token: states)
    stages = [LIKE_IT["chain"], TARGET, *SHAPES["penalty"]]
    assert max(row.steps for row in decode_stages(stages, range(24), limit=9)) > 3
    assert certify_stages(stages, limit=4).holds  # exact all the same: q is what was drawn from


def test_a_q_without_the_mirror_is_seen(monkeypatch):
    """Planted: drawn under the mirror, handed on without it."""
    honest = Growth.add

    def plain(self, token, q, each, **options):
        honest(self, token, self.logits.softmax(-1), each, **options)

    monkeypatch.setattr(Growth, "add", plain)
    assert certify_stages([DRAFTERS["chain"], TARGET, *SHAPES["penalty"]], limit=3).against_text > 1e-3
