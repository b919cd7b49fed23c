"""Case: a draft length decided step by step is exact whatever decides it, by row and with steps that draft nothing."""

from itertools import product

import pytest
import torch

from penstock.backends.eager.lower import lower
from penstock.backends.enumerate import law as enumerated
from penstock.backends.enumerate.scratch import WrongForward
from penstock.backends.interpret import interpreted
from penstock.backends.runtime.runner import Decoder, Request
from penstock.ir.draft import Growth
from penstock.ir.ops import forward as forwards, pacing as ops
from penstock.ir.ops.pacing import Row
from penstock.ir.ops.rows import join
from penstock.library import (
    Auto,
    LayerSkip,
    ModelDrafter,
    ModelVerifier,
    PromptLookup,
    Repetition,
    Temperature,
    ToyGrammar,
)
from penstock.library.drafters import chain
from penstock.library.pacing.controller import Controller
from penstock.library.pacing.rota import Rota
from penstock.passes.order import elaborate
from penstock.testing import certify_stages, decode_stages, small_world, step_of

TARGET, TWO = ModelVerifier(model="t"), Auto(longest=2)
DRAFTERS = {
    "model": ModelDrafter(model="d", length=TWO),
    "likeliest": ModelDrafter(model="d", length=TWO, greedy=True),
    "lookup": PromptLookup(length=TWO, longest=2),
    "layerskip": LayerSkip(model="t", exit=1, length=TWO),
}
SHAPED = (Repetition(alpha=1.4), ToyGrammar.over(3), Temperature(value=0.7))


@pytest.mark.parametrize("shape", [(), SHAPED, (Temperature(value=0),)], ids=["bare", "shaped", "greedy"])
@pytest.mark.parametrize("name", DRAFTERS)
def test_exact_with_every_length_in_turn(name, shape):
    certificate = certify_stages([DRAFTERS[name], TARGET, *shape], limit=4, batch=2)
    assert certificate.holds, certificate.report()


SCHEDULES = [*product(range(3), repeat=3)]


@pytest.mark.parametrize("rule", ["kseq", "block", "match", "coupled"])
@pytest.mark.parametrize("third", range(3))
def test_exact_on_any_schedule(rule, third):
    for turns in SCHEDULES[third :: 9 if rule == "kseq" else 27]:
        stages = [DRAFTERS["model"].paced_by(Rota(turns)), ModelVerifier(model="t", rule=rule)]
        certificate = certify_stages(stages, limit=3, batch=2)
        assert certificate.holds, (turns, certificate.report())


def test_every_bucket_is_among_the_worlds_and_so_are_rows_that_draft_less_than_it(monkeypatch):
    met, split = set(), enumerated.in_buckets
    monkeypatch.setattr(enumerated, "in_buckets", lambda *given: [met.add(b) or (b, rows) for b, rows in split(*given)])
    short, honest = [], ops.within.meaning
    monkeypatch.setattr(chain, "within", lambda rows, length: short.append(length) or ops.within(rows, length))
    seen = lambda rows, length: short.append(bool((rows[:, 0] < length).any())) or honest(rows, length)  # noqa: E731
    object.__setattr__(ops.within, "meaning", seen)
    try:
        assert certify_stages([DRAFTERS["model"], TARGET], limit=4, batch=2).holds
    finally:
        object.__setattr__(ops.within, "meaning", honest)
    assert met - {None} == {(0,), (1,), (2,)} and True in short and False in short


# --- faults ------------------------------------------------------------------------------------------------------------
def certified():
    return certify_stages([DRAFTERS["model"].paced_by(Rota((2, 0, 1))), TARGET], limit=4, batch=2)


def test_a_drafter_that_forgets_what_it_missed_is_seen(monkeypatch):
    """After a step without drafts its cache has a gap; a root fed as if there were none is in the wrong context."""
    honest = forwards.text_due

    def root_alone(view, seq, live):
        view.cached = torch.where(live, view.length(seq) - 1, view.cached)
        return honest(view, seq, live)

    monkeypatch.setattr(forwards, "text_due", root_alone)
    with pytest.raises(WrongForward):
        certified()


def test_a_budget_that_follows_the_token_it_cuts_is_seen(monkeypatch):
    """A budget may follow the past; where a token is drafted only if it is not 0, the law bends."""
    honest = Growth.finish

    def by_its_own_token(self, law, width, valid):
        return honest(self, law, width, valid & (join(*(level[0] for level in self.levels)) > 0))

    monkeypatch.setattr(Growth, "finish", by_its_own_token)
    assert certified().against_text > 1e-3


# --- lossless ----------------------------------------------------------------------------------------------------------
class Wild:
    """Any length in any row, from one draw to the next."""

    def __init__(self, longest, seed):
        self.longest, self.draws = longest, torch.Generator().manual_seed(seed)

    def now(self):
        return 0.0

    def opening(self, rows):
        return int(torch.randint(self.longest + 1, (), generator=self.draws))

    def idles(self, began, text):
        """Now and then, where no draft is to follow."""
        return bool(torch.randint(2, (), generator=self.draws))

    def after(self, step):
        return [Row(self.opening(0)) for _ in step.rows]


def texts(drafter, tail, run=lower, *, joined=False):
    world = small_world([DRAFTERS["model"], *tail], vocab=5, limit=20, batch=3)
    step = step_of(elaborate([drafter, *tail] if drafter else tail), world)
    decoder = Decoder(step, {v: m for v, m in world.models.items() if f"view:{v}" in step.handles}, run(step))
    rows = [{view: rows[i] for view, rows in world.prompts.items()} for i in range(3)]
    first, second = ([Request(rows[i], limit, key=i) for i in which] for which, limit in (((0, 1), 20), ((2,), 11)))
    if not joined:
        return [d.tokens for d in decoder.decode([*first, *second])]
    states = decoder.steps(decoder.start(first))
    for _ in range(3):
        state = next(states)
    late = decoder.cat([state, decoder.start(second)])
    return [d.tokens for d in decoder.read(decoder.generate(late))]


@pytest.mark.parametrize("joined", [False, True], ids=["together", "joining"])
@pytest.mark.parametrize("tail", [(TARGET, Temperature(value=0)), (ModelVerifier(model="t", rule="match"),)])
def test_tokens_are_those_of_no_drafts_at_all_on_any_schedule(tail, joined):
    plain = texts(None, tail)
    for seed in range(6):
        drafter = ModelDrafter(model="d", length=Auto(longest=3)).paced_by(Wild(3, seed))
        assert texts(drafter, tail, joined=joined) == plain


def test_lowered_it_decodes_what_its_meaning_decodes():
    for drafter in DRAFTERS.values():
        lowered, meant = (decode_stages([drafter, TARGET], [5, 11, 3], lowered=x, vocab=5, limit=24) for x in (True, False))
        assert lowered == meant


def test_a_controller_on_a_real_clock_decodes_the_same_greedy_text_and_tells_its_lengths():
    tail = (TARGET, Temperature(value=0))
    drafter = ModelDrafter(model="d", length=Auto(longest=3)).paced_by(Controller(3))
    assert texts(drafter, tail) == texts(None, tail) == texts(drafter, tail, run=interpreted)


def test_a_drafter_catches_up_on_what_it_missed_before_it_drafts_again():
    stages = [ModelDrafter(model="d", length=TWO).paced_by(Rota((0, 0, 0, 2))), TARGET]
    world = small_world(stages, vocab=5, limit=20)
    step = step_of(elaborate(stages), world)
    decoder = Decoder(step, world.models, lower(step))
    states = decoder.steps(decoder.start([Request({"t": [1, 2], "draft:d": [1, 2]}, 20, key=3)]))
    behind = [int(state["seq"].length + 2 - state["view:draft:d"].cached) for state in states]
    assert max(behind) >= 4 and 1 in behind


def test_a_row_drafts_no_further_than_its_own_budget():
    """The target drafts for itself, so every draft is accepted: rows with budgets of 2, 1 and 0 after a first step of 2."""

    class Uneven(Rota):
        def after(self, step):
            return [Row(2 - place) for place, _ in enumerate(step.rows)]

    stages = [ModelDrafter(model="t", length=TWO).paced_by(Uneven((2,))), TARGET]
    world = small_world(stages, vocab=5, limit=20, batch=3)
    step = step_of(elaborate(stages), world)
    decoder = Decoder(step, world.models, lower(step))
    requests = [Request({view: rows[i] for view, rows in world.prompts.items()}, 20, key=i) for i in range(3)]
    state = decoder.generate(decoder.start(requests))
    assert state["seq"].steps.tolist() == [7, 10, 18]
    assert state["reg:draft_lengths"].value.tolist() == [[0, 0, 7], [0, 9, 1], [17, 0, 1]]
