"""A race settled by bounds has the winner of the race, or says that it is not settled."""

import pytest
import torch
from torch import fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from penstock.backends.eager.walk import Walk
from penstock.backends.inductor import artefact, chosen, foremost as of
from penstock.backends.inductor.artefact import Artefacts
from penstock.backends.inductor.chosen import Choice
from penstock.backends.inductor.foremost import NARROW, UNSURE, foremost, highest
from penstock.backends.inductor.sites import Composing, Site
from penstock.ir.errors import PenstockError
from penstock.ir.ops.exposed import BLOCK, earliest, negative_exponentials
from penstock.ir.ops.logits import softmax
from penstock.ir.ops.random import race

ROWS = 64
WIDE = NARROW + 5
"""Whole blocks and five tokens."""
DRAWS = torch.Generator().manual_seed(0)
WORDS = torch.randint(-(2**63), 2**63 - 1, (ROWS,), generator=DRAWS)
PLAIN = torch.randn(ROWS, WIDE, generator=DRAWS)
SHAPES = {
    "equal": torch.zeros(ROWS, WIDE),
    "flat": PLAIN * 0.1,
    "like language": PLAIN * 2 + 8 * (torch.rand(ROWS, WIDE, generator=DRAWS) > 0.998),
    "peaked": PLAIN * 9,
    "ties": (PLAIN * 3).round(),
    "bfloat16": (PLAIN * 3).bfloat16(),
    "double": PLAIN.double() * 3,
    "masked": (PLAIN * 2).where(torch.arange(WIDE) % 700 == 699, -torch.inf),
    "large": PLAIN * 2 + 1e4,
    "one token": torch.zeros(ROWS, WIDE).where(torch.arange(WIDE) == WIDE - 1, -torch.inf),
}


@pytest.mark.parametrize("logits", SHAPES.values(), ids=list(SHAPES))
def test_the_winner_is_that_of_all_tokens(logits):
    assert torch.equal(foremost(logits, WORDS), earliest(softmax(logits), WORDS))


@pytest.mark.parametrize("logits", SHAPES.values(), ids=list(SHAPES))
def test_a_race_in_one_block_is_right_or_not_settled(logits, monkeypatch):
    monkeypatch.setattr(of, "HELD", 1)
    found = foremost(logits, WORDS)
    sure = found != UNSURE
    assert torch.equal(found[sure], earliest(softmax(logits), WORDS)[sure]) and sure.any()
    assert logits is not SHAPES["like language"] or not sure.all()


@pytest.mark.parametrize("shape", ["flat", "like language", "peaked", "masked", "one token"])
def test_bounds_are_not_exceeded_and_close(shape):
    """A straight line is less than .06 below the logarithm, and the least of 128 exponentials hardly above its u."""
    logits = SHAPES[shape]
    reached = logits - torch.log(-negative_exponentials(WORDS, WIDE))
    most = torch.stack([block.amax(-1) for block in reached.split(BLOCK, -1)], 1)
    bounds = highest(logits, WORDS)
    some = most.isfinite()
    assert bounds.shape == most.shape and torch.equal(bounds.isfinite(), some)
    assert (bounds >= most - of.SLACK)[some].all()
    assert shape != "flat" or (bounds - most)[:, :-1].max() < 0.15


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_no_bound_settles_is_told(bad):
    logits = PLAIN[:3].clone()
    logits[1] = bad
    assert (foremost(logits, WORDS[:3]) == UNSURE).tolist() == [False, True, False]
    logits[1] = PLAIN[1]
    logits[1, 7] = bad
    assert (foremost(logits, WORDS[:3]) == UNSURE).tolist() == [False, bad != -torch.inf, False]


def test_in_narrow_rows_all_tokens_race():
    logits = PLAIN[:, : NARROW - 1].clone()
    logits[3] = torch.nan
    assert torch.equal(foremost(logits, WORDS), earliest(softmax(logits), WORDS))


@pytest.mark.parametrize("settled", [True, False])
def test_a_site_draws_the_same_token_whether_bounds_settle_its_race_or_not(settled, monkeypatch):
    """What they leave open is drawn as without them; a row that has nothing to draw from is the walk's error."""
    monkeypatch.setattr(artefact, "built", lambda function, inputs: make_fx(function)(*inputs))
    if not settled:
        monkeypatch.setattr(chosen, "foremost", lambda logits, address: torch.full((1,), UNSURE))
    graph = fx.Graph()
    graph.output((graph.placeholder("x"),))
    sites = SHAPES["like language"].view(2, ROWS // 2, WIDE).clone()
    sites[1, 5] = -torch.inf
    tree = pytree.tree_structure((sites,))
    choice = Choice("accept", Composing(graph, Site, tree), Artefacts())
    walk = Walk(Site(graph, (sites,), (2, ROWS // 2)), [9, 4], [0, 0], [3, 7], [20, 20], [True, True], stage="s")  # type: ignore[arg-type]
    for b, d, s in ((0, 0, 0), (1, 2, 3), (1, 0, 30)):
        weights, key = sites[b, s].softmax(-1)[None], torch.tensor(walk.key[b : b + 1])
        expected = race(weights, key, "s", "select", (walk.length[b] + d,), live=torch.tensor([True]))
        assert choice(walk, b, d, s, []) == int(expected)
    with pytest.raises(PenstockError, match="row 1 has no support"):
        choice(walk, 1, 0, 5, [])
