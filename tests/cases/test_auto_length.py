"""Case: a draft length decided step by step is exact whatever decides it, by row and with steps that draft nothing."""

from itertools import product

import pytest
import torch
from paced import Fixed

import penstock
from penstock.backends.eager.lower import lower
from penstock.backends.enumerate import law as enumerated
from penstock.backends.enumerate.scratch import ForwardCheck, WrongForward
from penstock.backends.interpret import interpreted
from penstock.backends.runtime.runner import Decoder, Request
from penstock.dsl.pipeline import Pipeline
from penstock.ir.errors import PenstockError
from penstock.ir.ops import forward as forwards, pacing as ops
from penstock.ir.ops.pacing import Row
from penstock.library import (
    Auto,
    Del,
    Forced,
    JsonSchema,
    LayerSkip,
    ModelDrafter,
    ModelVerifier,
    OrElse,
    PromptLookup,
    Repetition,
    StochasticBeam,
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
    for turns in SCHEDULES[third :: 9 if rule == "kseq" else 12]:
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


def test_tokens_accepted_beyond_a_budget_that_a_drafted_token_moved_are_seen(monkeypatch):
    """A budget may follow the past; one that follows the drafted token itself bends the law."""
    honest = ModelDrafter.within

    def by_its_own_token(self, step, length):
        room = honest(self, step, length)
        return self_chosen(room, step)

    def self_chosen(room, step):
        return room & (GROWN[-1].levels[0][0] > 0)

    grow = chain_growth()
    monkeypatch.setattr("penstock.library.drafters.model.Growth", grow)
    monkeypatch.setattr(ModelDrafter, "within", by_its_own_token)
    assert certified().against_text > 1e-3


GROWN = []


def chain_growth():
    from penstock.ir.draft import Growth

    class Grown(Growth):
        def __init__(self, *given, **options):
            super().__init__(*given, **options)
            GROWN.append(self)

    return Grown


def test_a_register_taken_from_another_row_is_seen(monkeypatch):
    """What is kept of rows is joined, taken and forked with them: a batch shuffled between steps decodes as it would have."""
    stages = [ModelDrafter(model="d", length=TWO), TARGET]
    world = small_world(stages, vocab=5, limit=9, batch=3)
    step = step_of(elaborate(stages), world)
    decoder = Decoder(step, world.models, lower(step))
    requests = [Request({view: rows[i] for view, rows in world.prompts.items()}, 9, key=i) for i in range(3)]
    state = decoder.start(requests)
    states = decoder.steps(state)
    for _ in range(3):
        state = next(states)
    kept = state["reg:auto.rows"].value.clone()
    turned = decoder.take(state, [2, 0, 1])
    assert torch.equal(turned["reg:auto.rows"].value, kept[[2, 0, 1]])


# --- lossless ----------------------------------------------------------------------------------------------------------
class Wild:
    """Any length in any row, from one draw to the next."""

    def __init__(self, longest, seed):
        self.longest, self.draws = longest, torch.Generator().manual_seed(seed)

    def now(self):
        return 0.0

    def opening(self, rows):
        return int(torch.randint(self.longest + 1, (), generator=self.draws))

    def after(self, step):
        return [Row(self.opening(0)) for _ in step.rows]


def texts(drafter, tail, run=lower, *, joined=False):
    stages = [drafter, *tail] if drafter else list(tail)
    world = small_world(stages, vocab=5, limit=20, batch=3)
    step = step_of(elaborate(stages), world)
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
    state = (decoder := Decoder(step, world.models, lower(step))).start([Request({"t": [1, 2], "draft:d": [1, 2]}, 20, key=3)])
    behind = []
    for state in decoder.steps(state):  # noqa: B007
        behind.append(int(state["seq"].length + 2 - state["view:draft:d"].cached))
    assert max(behind) >= 4 and 1 in behind


# --- what a user sees --------------------------------------------------------------------------------------------------
MODELS = {"t": "table:7:1:3", "d": "table:7:2"}


def said(*stages):
    return penstock.explain(Pipeline(models=MODELS, stages=stages)).split("\nstep\n")[0].splitlines()


@pytest.mark.parametrize("tail", [(TARGET,), (ModelVerifier(model="t", rule="block"),)])
def test_tokens_that_follow_the_clock_are_said_to(tail):
    told = said(ModelDrafter(model="d", length="auto"), *tail)
    assert told[3].startswith("reproducible: no, how far drafter.model.0 drafts depends on the clock and the batch")
    assert told[-1].startswith("drafter.model.0: drafts 0 to 8 tokens, as many as are worth most")


@pytest.mark.parametrize(
    "tail", [(ModelVerifier(model="t", rule=rule),) for rule in ("match", "coupled", "greedy")] + [(TARGET, Temperature(value=0))]
)
def test_tokens_that_no_draft_moves_stay_reproducible(tail):
    assert said(ModelDrafter(model="d", length="auto"), *tail)[3].startswith("reproducible: yes, by request key")


def test_a_row_tells_how_many_steps_drafted_how_far():
    pipeline = Pipeline(models=MODELS, stages=(ModelDrafter(model="d", length=Auto(longest=3)), TARGET))
    for result in penstock.run(pipeline, ["12", "3"], max_new_tokens=30):
        lengths = result.taps["draft_lengths"]
        assert len(lengths) == 4 and sum(lengths) == result.stats.steps
        assert result.stats.draft_forwards == sum(k * n for k, n in enumerate(lengths))


def test_auto_is_one_word_or_says_its_bound():
    for form in ("auto", {"auto": 8}, Auto(longest=8)):
        drafter = ModelDrafter(model="d", length=form)
        assert drafter.auto == Auto() and drafter.room == 8 and drafter.decision == "auto.length"
    assert ModelDrafter(model="d", length=3).decision is None and not ModelDrafter(model="d", length=3).registers(2, 5)
    assert ModelDrafter(model="d", length={"auto": 5, "by_row": True}).model_dump()["drafter.model"]["length"] == {
        "auto": 5,
        "by_row": True,
    }


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: ModelDrafter(model="d", length="auto", paths=2), "drafter.model: length: auto is for one path, and there are 2"),
        (lambda: StochasticBeam(model="d", length="auto"), "drafter.stochastic_beam, field length"),
        (lambda: Del(model="t", exits=(1,), longest="auto"), "drafter.del, field longest"),
        (lambda: OrElse(first=PromptLookup(length="auto"), second=ModelDrafter(model="d")), "this drafter.prompt_lookup decides"),
        (lambda: ModelDrafter(model="d", length={"auto": 0}), "drafter.model, field length.auto"),
    ],
)
def test_what_cannot_follow_is_refused_where_it_is_written(make, why):
    with pytest.raises(PenstockError, match=why) as refused:
        make()
    assert "test_auto_length.py" in refused.value.where


def test_forced_drafts_follow_too():
    schema = JsonSchema(schema_=True).small(3)
    assert certify_stages([Forced(length=TWO), TARGET, schema], limit=3, batch=2).holds


def test_budgets_by_row_are_kept(monkeypatch):
    class Uneven(Fixed):
        def after(self, step):
            return [Row(2 - place) for place, _ in enumerate(step.rows)]

    drafter = ModelDrafter(model="d", length=TWO).paced_by(Uneven(2))
    stages = [drafter, TARGET]
    world = small_world(stages, vocab=5, limit=20, batch=3)
    step = step_of(elaborate(stages), world)
    decoder = Decoder(step, world.models, lower(step))
    state = decoder.start([Request({view: rows[i] for view, rows in world.prompts.items()}, 20, key=i) for i in range(3)])
    for state in decoder.steps(state):  # noqa: B007
        before = state["seq"].length.clone()
    counts = state["reg:draft_lengths"].value.tolist()
    assert counts[0][:2] == [0, 0] and counts[1][0] == 0 and counts[1][2] <= 1 and counts[2][1] == 0 and before.max() == 20
