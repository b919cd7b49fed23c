"""Exposed noise: every race becomes arithmetic on address words, and draws what the race draws."""

import pytest
import torch

from penstock.backends.interpret import Interpreter
from penstock.backends.runtime.runner import Decoder, Request
from penstock.backends.runtime.table import TableModel
from penstock.ir.op import Op
from penstock.ir.ops.exposed import first_largest
from penstock.ir.region import copied
from penstock.ir.show import show
from penstock.ir.standin import StandIn
from penstock.library import ModelDrafter, ModelVerifier, StochasticBeam, Temperature
from penstock.passes.build import build
from penstock.passes.expose_noise import expose_noise
from penstock.passes.lint import linear, row_wise, typed
from penstock.passes.order import elaborate

MODELS = {"t": TableModel(5, 1), "draft:d": TableModel(5, 2)}
FACTS = {v: StandIn(m.name, m.vocab, m.width, m.layers, m.capabilities) for v, m in MODELS.items()}


def step_of(*stages):
    return build(elaborate(stages), FACTS)


@pytest.mark.parametrize("rule", ["auto", "coupled"])
def test_exposed_draws_are_the_races(rule):
    """``coupled`` drafts by `foresee`."""
    step = step_of(ModelDrafter(model="d", length=3), ModelVerifier(model="t", rule=rule), Temperature(value=0.9))
    exposed = copied(step.graph)
    assert expose_noise(exposed) == 3 and expose_noise(exposed) == 0
    linear(exposed)
    row_wise(exposed)
    typed(exposed)
    assert not [n for n in exposed.nodes if isinstance(n.target, Op) and n.target.category == "random"]
    requests = [Request(dict.fromkeys(MODELS, prompt), 12, key=key) for key, prompt in enumerate(([1], [4, 0], [2, 2]))]
    plain, taken_apart = (
        Decoder(step, MODELS, lambda *handles, graph=graph: Interpreter().run(graph, handles)).decode(requests)
        for graph in (step.graph, exposed)
    )
    assert taken_apart == plain


@pytest.mark.parametrize("size", [7, 512, 517, 1151])
def test_the_first_largest_is_argmax_whatever_ties_or_is_no_number(size):
    """Blocks, a rest behind them, and rows too short for either."""
    draws = torch.Generator().manual_seed(size)
    tied = torch.randint(0, 3, (64, 3, size), generator=draws).float()
    voids = tied.masked_fill(torch.rand(tied.shape, generator=draws) < 0.002, torch.nan)
    only_last = torch.full((1, size), -torch.inf).index_fill(1, torch.tensor(size - 1), 1.0)
    for values in (tied, voids, only_last, torch.full((2, size), -torch.inf), torch.randn(5, size, generator=draws)):
        assert torch.equal(first_largest(values), values.argmax(-1))


def test_how_it_reads():
    graph = copied(step_of(ModelDrafter(model="d", length=1), ModelVerifier(model="t")).graph)
    expose_noise(graph)
    drawn = [line.strip() for line in show(graph).splitlines() if "<expose_noise>" in line]
    assert [line.split(" = ")[1].split("(")[0] for line in drawn] == ["words", "earliest", "supported"]


def test_a_beam_keeps_its_race():
    graph = copied(step_of(StochasticBeam(model="d", width=2, length=2), ModelVerifier(model="t")).graph)
    assert expose_noise(graph) == 0
