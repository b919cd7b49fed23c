"""In lockstep a step reads its device once, when all is done: the block of integers that the host appends; hosts ask by name.

Everything that models and regions give is a tensor of a pretended device, and so is what is computed of it; whoever asks such a
tensor what it holds is counted, whether in Python or below it.
"""

from typing import Any

import pytest
import torch
from catalogue import DRAFTERS as CATALOGUE, SCORERS, SHAPES
from on_device import OnDevice, Waits, of_device, of_host
from tiny_models import tiny_model
from torch import fx

from penstock.backends.eager import lower as eager
from penstock.backends.inductor import artefact
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.lower import lower, marked
from penstock.backends.inductor.resident import reads
from penstock.backends.interpret import interpreted
from penstock.backends.runtime.hf import HuggingFaceModel
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.library import ModelDrafter, ModelVerifier, OrElse, PromptLookup, Temperature
from penstock.passes.build import StepGraph
from penstock.passes.order import elaborate
from penstock.testing import Small, small_world, step_of

STEPS = 4
BUCKETS = {"drafter.model": [(0,), (1,), (2,)], "drafter.del": [(e, n) for e in (1, 2) for n in range(3)]}
"""What steps of `auto` and of DEL may look like."""
WITH_CHAIN = OrElse(first=PromptLookup(length=2), second=ModelDrafter(model="d", length=2))
DRAFTERS = CATALOGUE | {"or_else sampled": WITH_CHAIN}
CELLS = [(drafter, "model", shape) for drafter in DRAFTERS for shape in SHAPES]
CELLS += [(drafter, scorer, "cold") for drafter in ("none", "iid") for scorer in SCORERS if scorer != "model"]
SOME = {(drafter, "model", "cold") for drafter in DRAFTERS} | {("chain", "model", shape) for shape in SHAPES}
SOME |= {("or_else", "model", "json"), *CELLS[-4:]}


class Watched:
    """What is asked of the device while a step runs."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.waits = Waits()

    def step(self, run: Any, handles: Any) -> Any:
        """One more step; ``asked`` is of it alone."""
        self.asked, self.waits.found = [], []
        OnDevice.asked = self.asked.append
        try:
            with self.waits:
                return run(*handles)
        finally:
            OnDevice.asked = None


@pytest.fixture
def device(monkeypatch):
    """Models and regions run on a device: what they are given and what they make lies there."""

    def built(function: Any, inputs: Any) -> Any:
        return lambda *args: of_device(function(*args))

    own = TableModel.forward

    def forward(model: Any, cache: Any, feed: Any) -> Any:
        for name in ("ids", "embeds", "use_embed", "hidden"):
            setattr(feed, name, of_host(getattr(feed, name)))  # its embedding is its own business
        out = own(model, cache, feed)
        out.logits, out.hidden = of_device(out.logits), of_device(out.hidden)
        return out

    monkeypatch.setattr(artefact, "built", built)
    monkeypatch.setattr("penstock.backends.inductor.lower.compiler", lambda: "c++")
    monkeypatch.setattr(TableModel, "forward", forward)
    return Watched()


def world_of(stages: tuple[Stage, ...]) -> tuple[StepGraph, Small]:
    world = small_world(stages, batch=2, eos=(2,), limit=30, prompted=("swapped",))
    return step_of(elaborate(stages), world), world


def graphs_of(step: StepGraph) -> list[fx.Graph]:
    """The graph of a step, or of each bucket that it may have."""
    if step.decision is None or step.at is None:
        return [step.graph]
    stage = next(placed.stage for placed in step.plan.stages if placed.stage.decision)
    return [step.at(bucket).graph for bucket in BUCKETS[stage.kind]]


def begun(step: StepGraph, world: Small, run: Any) -> list[Any]:
    """The handles of two rows before their first step."""
    prompts = [{view: texts[b] for view, texts in world.prompts.items()} for b in range(2)]
    state = Decoder(step, world.models, run).start([Request(texts, 30, key=5 + b) for b, texts in enumerate(prompts)])
    return [state[name] for name in step.handles]


@pytest.mark.parametrize(
    ("drafter", "scorer", "shape"),
    [pytest.param(*cell, id="-".join(cell), marks=[] if cell in SOME else pytest.mark.full) for cell in CELLS],
)
def test_a_step_reads_its_device_once(drafter, scorer, shape, device):
    stages = tuple(stage for stage in (DRAFTERS[drafter], SCORERS[scorer], SHAPES[shape]) if stage)
    step, world = world_of(stages)
    run, meaning = lower(step, Artefacts(), lockstep=True), interpreted(step)
    handles, meant = begun(step, world, run), begun(step, world, meaning)
    told = [len(reads(marked(each, lockstep=True))) for each in graphs_of(step)]
    most = 0
    for _ in range(STEPS):
        handles, meant = device.step(run, handles), meaning(*meant)
        most = max(most, len(device.asked))
        assert drafter == "del" or not device.waits.found  # which exit pays is reckoned on the host
    assert torch.equal(handles[0].tokens, of_host(meant[0].tokens)) and int(handles[0].length.min()) >= 1
    assert 1 <= most <= max(told)
    if drafter not in ("del", "or_else sampled") and shape != "json":  # which ask the host in between, by name
        assert max(told) == 1


@pytest.mark.parametrize("drafter", ["none", "chain", "iid"])
def test_what_a_grammar_says_of_texts_is_no_constant_of_the_first_step(drafter, traced):
    """Its states are numbers of texts, which the host gives out anew in every step."""
    step, world = world_of(tuple(stage for stage in (DRAFTERS[drafter], SCORERS["model"], SHAPES["json"]) if stage))
    run, meaning = lower(step, Artefacts(), lockstep=True), interpreted(step)
    handles, meant = begun(step, world, run), begun(step, world, meaning)
    for _ in range(STEPS):
        handles, meant = run(*handles), meaning(*meant)
    assert torch.equal(handles[0].tokens, meant[0].tokens) and traced


class Transformer(HuggingFaceModel):
    """What it answers lies on the device that it was fed on."""

    def forward(self, cache: Any, feed: Any) -> Any:
        out = super().forward(cache, feed)
        out.logits = of_device(out.logits)
        return out


def test_a_transformer_asks_nothing_of_what_it_is_fed(device):
    """Its own modules and attention, our slots and masks: tokens come from the device and go on there."""
    models = {view: Transformer(tiny_model("llama", seed), view, None) for seed, view in enumerate(("t", "draft:d"))}
    world = Small(models, dict.fromkeys(models, [[1, 2, 3], [4, 5]]), (), 30)
    step = step_of(elaborate((ModelDrafter(model="d", length=2), ModelVerifier(model="t"), Temperature(value=0.8))), world)
    run, meaning = lower(step, Artefacts(), lockstep=True), interpreted(step)
    handles, meant = begun(step, world, run), begun(step, world, meaning)
    for _ in range(2):
        handles, meant = device.step(run, handles), meaning(*meant)
        assert device.asked == ["tolist"] and not device.waits.found
    assert torch.equal(handles[0].tokens, of_host(meant[0].tokens))


LAST = "the block of region {}, for accept, state"
NAMED: dict[str, tuple[tuple[str, str], list[str]]] = {
    "a grammar that a draft mirrors": (
        ("chain", "json"),
        [
            "the block of region 0, for constraint.json_schema",
            "the block of region 1, for constraint.json_schema",
            "the block of region 2, for accept, constraint.json_schema, state",
        ],
    ),
    "what a learner reckons on the host": (("del", "cold"), [LAST.format(2), "f64[b,2,2,2], for drafter.del.0"]),
    "draws of some rows only": (
        ("or_else sampled", "cold"),
        [LAST.format(0), *(f"in or_else, the block of region {level}, for drafter.or_else.0" for level in range(2))],
    ),
}


@pytest.mark.parametrize("cell, told", NAMED.values(), ids=list(NAMED))
def test_whoever_else_waits_is_named(cell, told):
    step, _ = world_of(tuple(stage for stage in (DRAFTERS[cell[0]], SCORERS["model"], SHAPES[cell[1]]) if stage))
    assert reads(marked(step.graph, lockstep=True)) == told


def test_eager_asks_for_logits_where_it_pleases(device):
    """So a read would be seen."""
    step, world = world_of((ModelDrafter(model="d", length=2), ModelVerifier(model="t"), Temperature(value=0.8)))
    run = eager.lower(step)
    device.step(run, begun(step, world, run))
    assert len(device.asked) > 1
    with device.waits:
        of_device(torch.ones(3))[of_device(torch.ones(3)) > 0]
    assert device.waits.found


@pytest.mark.parametrize("row", [0, 1])
def test_a_draft_that_nothing_can_be_drawn_for_is_named_when_the_step_is_read(row, device):
    step, world = world_of((ModelDrafter(model="d", length=2), ModelVerifier(model="t"), Temperature(value=0.8)))
    own = world.models["draft:d"].forward

    def void(cache: Any, feed: Any) -> Any:
        out = own(cache, feed)
        out.logits[row] = torch.nan
        return out

    world.models["draft:d"].forward = void
    run = lower(step, Artefacts(), lockstep=True)
    with pytest.raises(PenstockError, match=f"stage drafter.model.0: row {row} has nothing to draw from"):
        run(*begun(step, world, run))
