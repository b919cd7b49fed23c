"""Case: block verification (Sun et al., arXiv 2403.10444): exact, and never fewer tokens than token by token."""

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import pytest
import torch
from one_step import committed, mean

from penstock.backends.enumerate.worlds import DrawnTwice
from penstock.ir import walk
from penstock.ir.errors import PenstockError
from penstock.ir.op import op
from penstock.ir.rules import RULES, Block
from penstock.library import (
    EntropyAdaptive,
    LayerSkip,
    ModelDrafter,
    ModelVerifier,
    OrElse,
    PromptLookup,
    Repetition,
    Temperature,
    TopKTree,
    ToyGrammar,
)
from penstock.testing import certify_stages, decode_stages

BLOCK, TOKENWISE = ModelVerifier(model="t", rule="block"), ModelVerifier(model="t", rule="kseq")
CHAIN = ModelDrafter(model="d", length=2)
SHAPED = (Repetition(alpha=1.4), ToyGrammar.over(3), Temperature(value=0.7))


@pytest.mark.parametrize("shape", [(), SHAPED, (Temperature(value=0),)])
@pytest.mark.parametrize(("eos", "batch"), [((), 1), ((2,), 3)])
@pytest.mark.parametrize("length", [2, 3])
def test_exact_over_two_steps_and_more(shape, eos, batch, length):
    certificate = certify_stages([ModelDrafter(model="d", length=length), BLOCK, *shape], limit=4, eos=eos, batch=batch)
    assert certificate.holds, certificate.report()
    assert shape or not certificate.not_exercised


@pytest.mark.parametrize(
    "drafter",
    [
        ModelDrafter(model="d", length=2, greedy=True),
        PromptLookup(length=2),
        LayerSkip(model="t", exit=1, length=2),
        OrElse(first=PromptLookup(length=2), second=CHAIN),
        ModelDrafter(model="d", length=2, mirror=False),
    ],
)
def test_exact_for_every_drafter_of_one_path(drafter):
    certificate = certify_stages([drafter, BLOCK, *SHAPED], limit=4, batch=2)
    assert certificate.holds, certificate.report()
    lowered, meant = (decode_stages([drafter, BLOCK, *SHAPED], range(6), lowered=x, limit=10) for x in (True, False))
    assert lowered == meant


def test_exact_where_a_gate_closes_the_path_on_its_way():
    gate = EntropyAdaptive(models=("t", "l"), tau=1.0, window=2, d_min=1, rule="block")
    certificate = certify_stages([CHAIN, gate], limit=4, eos=(2,), batch=2)
    assert certificate.holds, certificate.report()


def weights(target, draft, length):
    """``E[w_i]`` for i from 1: what the paper proves the chance of keeping i drafted tokens to be, over all blocks by hand."""
    kept = []
    for i in range(1, length + 1):
        total = 0.0
        for block in product(range(len(draft)), repeat=i):
            w = 1.0
            for x in block:
                w = min(1.0, w * target[x] / draft[x])
            total += prod(draft[x] for x in block) * w
        kept.append(total)
    return kept


def random_pair(seed):
    draws = torch.Generator().manual_seed(seed)
    return (torch.randn(3, dtype=torch.float64, generator=draws).softmax(-1).tolist() for _ in range(2))


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_prefixes_stay_as_often_as_their_weights_and_never_less_than_token_by_token(seed, length):
    target, draft = random_pair(seed)
    stages = [ModelDrafter(model="d", length=length)]
    law, tokenwise = (committed([*stages, verifier], target, draft) for verifier in (BLOCK, TOKENWISE))
    kept = [sum(p for count, p in law.items() if count > i) for i in range(1, length + 1)]
    assert kept == pytest.approx(weights(target, draft, length), abs=1e-12)
    gain = mean(law) - mean(tokenwise)
    assert gain == pytest.approx(0, abs=1e-12) if length == 1 else gain > 1e-4


def test_the_papers_example():
    """Two of three tokens possible: 10/9 drafted tokens stay token by token, 11/9 of a block."""
    target, draft = [1 / 3, 2 / 3, 1e-15], [2 / 3, 1 / 3, 1e-15]
    assert mean(committed([CHAIN, TOKENWISE], target, draft)) == pytest.approx(1 + 10 / 9, abs=1e-12)
    assert mean(committed([CHAIN, BLOCK], target, draft)) == pytest.approx(1 + 11 / 9, abs=1e-12)


@pytest.mark.parametrize("drafter", [ModelDrafter(model="d", length=1, paths=2), TopKTree(model="d", branching=(2,))])
def test_several_paths_are_refused_by_name(drafter):
    with pytest.raises(PenstockError, match=rf"verifier.model.0, field rule: block is for.*{drafter.kind}.0"):
        certify_stages([drafter, BLOCK])


# --- planted faults ------------------------------------------------------------------------------------------------
@op()
def ones(w: torch.Tensor) -> torch.Tensor:
    """No weight at all."""
    return torch.ones_like(w)


class Unweighted(Block):
    """Planted: what is owed is that of one refused token, whatever the weight of the prefix."""

    def at(self, site: Any) -> Any:
        return type(self)(ones(super().at(site).weight), super().at(site).chance)


@op()
def of_weights(w: torch.Tensor) -> torch.Tensor:
    """``min(1, w' / w)`` by site: the coin that looks at the next token alone."""
    return torch.cat([(w[:, 1:] / w[:, :-1]).clamp(max=1), torch.zeros_like(w[:, :1])], 1)


class Shortsighted(Block):
    """Planted: a token is tested by itself, as if no later one could save it."""

    def planned(self, composed: Any, draft: Any, cuts: Any) -> Any:
        plan = super().planned(composed, draft, cuts)
        return type(self)(plan.weight, of_weights(plan.weight))


@dataclass(frozen=True)
class Afresh(Block):
    """Planted: after a refusal the target is drawn afresh."""

    def begin(self, t: Any, d: Any, count: Any) -> Any:
        return self.chance, t


class Unconditioned(Block):
    """Planted: the chance that a prefix stays, not given that the one before it did."""

    def planned(self, composed: Any, draft: Any, cuts: Any) -> Any:
        plan = super().planned(composed, draft, cuts)
        return type(self)(plan.weight, so_far(plan.chance))


@op()
def so_far(chance: torch.Tensor) -> torch.Tensor:
    """Products from the root on."""
    return chance.cumprod(1)


@pytest.mark.parametrize("wrong", [Unweighted, Shortsighted, Afresh, Unconditioned])
def test_a_wrong_rule_is_seen(wrong, monkeypatch):
    monkeypatch.setitem(RULES, "block", wrong())
    assert certify_stages([ModelDrafter(model="d", length=3), BLOCK], limit=4).against_text > 1e-3


def test_coins_addressed_without_their_step_are_seen(monkeypatch):
    """Planted: a place in the block meets the same coin in every step, and that is no coin."""
    honest = walk.race

    def by_depth(weights, key, stage, purpose, at, live):
        return honest(weights, key, stage, purpose, (at[0] * 0, *at[1:]) if purpose == "accept" else at, live=live)

    monkeypatch.setattr(walk, "race", by_depth)
    with pytest.raises(DrawnTwice, match="accept noise twice"):
        certify_stages([ModelDrafter(model="d", length=1), BLOCK], limit=4)
