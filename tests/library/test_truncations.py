"""Truncations against transformers and against their definitions, on sites with masks, ties, one token, bfloat16."""

import math

import pytest
import torch
from site_logits import SITES, TIED, B, V, random
from transformers import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    MinPLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from penstock.backends.eager.kernels import KERNELS
from penstock.ir.ops.logits import top_k, top_p
from penstock.library import Epsilon, Eta, MinP, ModelDrafter, ModelVerifier, Temperature, TopK, TopP, TypicalP
from penstock.testing import certify_stages

STAGES = {
    "top_k": (lambda v: TopK(k=v), TopKLogitsWarper, (1, 7, 96, 200)),
    "top_p": (lambda v: TopP(p=v), TopPLogitsWarper, (0.05, 0.5, 0.9, 0.99)),
    "min_p": (lambda v: MinP(p=v), MinPLogitsWarper, (0.0, 0.02, 0.3, 1.0)),
    "typical_p": (lambda v: TypicalP(p=v), TypicalLogitsWarper, (0.05, 0.5, 0.9, 0.99)),
    "epsilon": (lambda v: Epsilon(epsilon=v), EpsilonLogitsWarper, (1e-6, 3e-4, 0.02, 0.9)),
    "eta": (lambda v: Eta(epsilon=v), EtaLogitsWarper, (1e-6, 2e-3, 0.1, 0.9)),
}
CELLS = [(name, value) for name, (_, _, values) in STAGES.items() for value in values]
every_cell = pytest.mark.parametrize(("name", "value"), CELLS)
every_site = pytest.mark.parametrize("site", SITES)


def kept(logits):
    return logits.isfinite()


ALIKE = [(*cell, site) for cell in CELLS for site in SITES if cell[0] not in ("top_k", "top_p") or site not in TIED]
"""Of ties we keep the lowest ids; transformers keeps all in top-k, and any in top-p."""


@pytest.mark.parametrize(("name", "value", "site"), ALIKE)
def test_it_is_what_transformers_makes_of_float32_logits(name, value, site):
    make, warper, _ = STAGES[name]
    logits = SITES[site]
    found = make(value).transform(logits)
    assert found.dtype == logits.dtype
    assert torch.equal(found.float(), warper(value)(None, logits.float()))


def by_rank(row, size):
    """The first ``size(probabilities in order)`` tokens, by probability and then by id."""
    order = sorted(range(len(row)), key=lambda i: (-row[i], i))
    return set(order[: size([row[i] for i in order])])


def needed(ordered, p):
    """How many of ordered probabilities reach p."""
    total = 0.0
    for count, chance in enumerate(ordered, 1):
        total += chance
        if total >= p:
            return count
    return len(ordered)


def typical(row, p):
    h = -sum(q * math.log(q) for q in row if q)
    apart = [abs(-math.log(q) - h) if q else math.inf for q in row]
    order = sorted(range(len(row)), key=lambda i: apart[i])
    limit = apart[order[needed([row[i] for i in order], p) - 1]]
    return {i for i, a in enumerate(apart) if a <= limit}


def above(row, least):
    return {i for i, q in enumerate(row) if q >= least or q == max(row)}


def eta(row, epsilon):
    return above(row, min(epsilon, math.sqrt(epsilon) * math.exp(sum(q * math.log(q) for q in row if q))))


DEFINED = {
    "top_k": lambda row, k: by_rank(row, lambda ordered: k),
    "top_p": lambda row, p: by_rank(row, lambda ordered: needed(ordered, p)),
    "min_p": lambda row, p: above(row, p * max(row)),
    "typical_p": typical,
    "epsilon": above,
    "eta": eta,
}


@every_site
@every_cell
def test_it_keeps_what_its_definition_keeps(name, value, site):
    logits = SITES[site].double()
    found = STAGES[name][0](value).transform(logits)
    for row, chances, before in zip(found, logits.softmax(-1).tolist(), logits, strict=True):
        wanted = {i for i in DEFINED[name](chances, value) if chances[i] > 0}
        assert set(kept(row).nonzero()[:, 0].tolist()) == wanted
        assert torch.equal(row[kept(row)], before[kept(row)])


@every_cell
def test_a_greedy_site_stays_as_it_is_and_something_is_left_of_every_site(name, value):
    stage, cold = STAGES[name][0](value), Temperature(value=0)
    for logits in SITES.values():
        greedy = cold.transform(logits)
        assert torch.equal(stage.transform(greedy), greedy)
        after = cold.transform(stage.transform(logits))
        assert (kept(after).sum(-1) == 1).all()
        if name != "typical_p":
            assert torch.equal(after, greedy)


def test_typical_sampling_may_drop_the_likeliest():
    chances = torch.tensor([0.4, *[0.6 / 96] * 96])
    assert not kept(TypicalP(p=0.2).transform(chances.log()))[0]


@pytest.mark.parametrize("rest", [-18.0, -40.0])
def test_all_is_all(rest):
    """A sum of roundings that reaches 1 early, or never, drops nothing where 1 is asked for."""
    logits = torch.tensor([0.0] + [rest] * (V - 1))
    for stage in (TopP(p=1.0), TypicalP(p=1.0), MinP(p=0.0), Epsilon(epsilon=0.0), Eta(epsilon=0.0), TopK(k=V)):
        assert kept(stage.transform(logits)).all()
    assert torch.equal(KERNELS[top_p][0](logits, 1.0), logits)


def test_a_probability_that_no_sum_of_roundings_reaches_drops_nothing():
    almost = 1 - 2**-24  # the float32 next to 1
    sites = torch.cat([random(seed) for seed in range(20)])
    short = sites[sites.log_softmax(-1).exp().cumsum(-1)[:, -1] < almost]
    assert len(short)
    assert kept(TypicalP(p=almost).transform(short)).all()


def test_a_probability_that_is_just_reached_needs_no_more():
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64).log()
    assert kept(TopP(p=0.5).transform(logits)).tolist() == [True, False, False, False]
    assert kept(TypicalP(p=0.25).transform(logits)).tolist() == [False, True, False, False]


def test_large_counts_survive_bfloat16():
    """In bfloat16 257 is 256."""
    logits = -torch.arange(300.0).bfloat16() / 128
    assert int(kept(top_k(logits, 257)).sum()) == int(kept(KERNELS[top_k][0](logits, 257)).sum()) == 257
    assert kept(top_k(logits.expand(2, -1), torch.tensor([257, 3]))).sum(-1).tolist() == [257, 3]


@every_site
def test_the_hosts_kernels_agree_on_every_site(site):
    for op, values in ((top_k, (1, 7, 200)), (top_p, (0.05, 0.9, 1.0))):
        for value in values:
            assert torch.equal(KERNELS[op][0](SITES[site], value), op.meaning(SITES[site], value))


@every_cell
def test_bfloat16_is_cut_where_its_numbers_in_float32_are(name, value):
    stage = STAGES[name][0](value)
    for site in ("bf16", "masked_bf16"):
        assert torch.equal(stage.transform(SITES[site]).float(), stage.transform(SITES[site].float()))


@every_cell
def test_no_number_stays_to_be_seen(name, value):
    broken = random().index_fill(1, torch.tensor([5]), torch.nan)
    assert STAGES[name][0](value).transform(broken).isnan().any(-1).all()
    for op in (top_k, top_p):
        assert KERNELS[op][0](broken, 1).isnan().any(-1).all() and KERNELS[top_p][0](broken, 0.5).isnan().any(-1).all()


@pytest.mark.parametrize("name", STAGES)
def test_each_row_has_its_own_value(name):
    make, _, values = STAGES[name]
    asked = torch.tensor(values[:B], dtype=torch.float64)
    logits = random().double()[:, None].expand(-1, 2, -1)
    both = make(values[0]).model_copy(update=dict.fromkeys(type(make(values[0])).model_fields, asked)).transform(logits)
    assert torch.equal(both, torch.stack([make(value).transform(x) for value, x in zip(values, logits, strict=False)]))


SHARP = (ModelDrafter(model="d", length=2, paths=2), ModelVerifier(model="t"), Temperature(value=0.9))


@pytest.mark.parametrize("stage", [TopK(k=2), TopP(p=0.7), MinP(p=0.4), TypicalP(p=0.6), Epsilon(epsilon=0.3), Eta(epsilon=0.4)])
def test_certified_over_a_toy_vocabulary(stage):
    for each in (stage, type(stage)().small(3)):
        certificate = certify_stages([*SHARP, each], vocab=3, batch=2, eos=(2,))
        assert certificate.holds, certificate.report()
