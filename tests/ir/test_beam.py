"""Stochastic beams: their enumerated law against Plackett-Luce over whole sequences, and their draws against both."""

from collections import Counter
from itertools import product

import pytest
import torch
from chance import excess

from penstock.ir.noise import addresses, exponentials
from penstock.ir.ops.beam import beam_outcomes, beam_race, beam_root, member, offspring, or_void

START = ((),)


def table(v, length, seed=0, sharpness=1.5):
    """A random next-token distribution after every path shorter than ``length``."""
    draws = torch.Generator().manual_seed(seed)
    paths = [path for n in range(length) for path in product(range(v), repeat=n)]
    return {path: torch.randn(v, dtype=torch.float64, generator=draws).mul(sharpness).softmax(-1) for path in paths}


def plackett_luce(q, v, length, width):
    """The joint law of the beams of all levels: sequences arrive one by one without replacement, each node with its first one."""
    p = {
        leaf: float(torch.stack([q[leaf[:i]][leaf[i]] for i in range(length)]).prod())
        for leaf in product(range(v), repeat=length)
    }
    law: Counter = Counter()

    def arrive(order, left, weight):
        beams = tuple(tuple(dict.fromkeys(leaf[:n] for leaf in order))[:width] for n in range(1, length + 1))
        room = (min(width, len({leaf[:n] for leaf in p if p[leaf]})) for n in range(1, length + 1))
        if all(len(beam) == size for beam, size in zip(beams, room, strict=True)):
            law[beams] += weight
            return
        for leaf in p:
            if leaf not in order and p[leaf]:
                arrive((*order, leaf), left - p[leaf], weight * p[leaf] / left)

    arrive((), 1.0, 1.0)
    return law


def distributions(q, beams):
    """``[n,tips,v]``: what follows each member; anything at all where there is no member."""
    some = next(iter(q.values()))
    return torch.stack([torch.stack([some if path is None else q[path] for path in beam]) for beam in beams])


def grown(beam, parents):
    """The paths of a beam's members, None where there is none."""
    place, token, _, psi = beam
    return [
        tuple(None if s == -torch.inf else (*before[w], t) for w, t, s in zip(*row, strict=True))
        for before, *row in zip(parents, place.tolist(), token.tolist(), psi.tolist(), strict=True)
    ]


def enumerated(q, length, width):
    """The joint law of the beams, by `beam_outcomes` level after level."""
    history, weight, last = [()], torch.ones(1, dtype=torch.float64), [START]
    phi = psi = torch.zeros(1, 1, dtype=torch.float64)
    for _ in range(length):
        row, beam, chance = beam_outcomes(distributions(q, last), phi, psi, width=width)
        weight = weight[row] * chance
        last = grown(beam, [last[r] for r in row])
        history = [(*history[r], tuple(path for path in paths if path is not None)) for r, paths in zip(row, last, strict=True)]
        _, _, phi, psi = beam
    law: Counter = Counter()
    for beams, w in zip(history, weight.tolist(), strict=True):
        law[beams] += w
    return law


def drawn(q, length, width, n, race=beam_race):
    """How often the beams of ``n`` requests were which."""
    key, live = torch.arange(n), torch.ones(n, dtype=torch.bool)
    history, last = [()] * n, [START] * n
    phi = psi = torch.zeros(n, 1, dtype=torch.float64)
    for level in range(length):
        beam = race(distributions(q, last), phi, psi, key, "beam", "draft", (0, level), width=width, live=live)
        last = grown(beam, last)
        history = [(*before, paths) for before, paths in zip(history, last, strict=True)]
        _, _, phi, psi = beam
    return Counter(history)


@pytest.mark.parametrize("v, length, width", [(2, 3, 2), (2, 3, 3), (3, 2, 1), (3, 2, 2), (3, 2, 3)])
def test_the_enumerated_law_is_plackett_luce_over_sequences(v, length, width):
    for seed in range(2):
        q = table(v, length, seed)
        law, truth = enumerated(q, length, width), plackett_luce(q, v, length, width)
        assert sum(law.values()) == pytest.approx(1, abs=1e-12)
        assert max(abs(law[beams] - truth[beams]) for beams in {*law, *truth}) < 1e-12


def test_the_law_holds_where_tokens_are_impossible():
    q = table(3, 2) | {(0,): torch.tensor([0.0, 1.0, 0.0]).double(), (): torch.tensor([0.7, 0.3, 0.0]).double()}
    law, truth = enumerated(q, 2, 3), plackett_luce(q, 3, 2, 3)
    assert max(abs(law[beams] - truth[beams]) for beams in {*law, *truth}) < 1e-12


@pytest.mark.parametrize("v, length, width", [(3, 2, 2), (2, 3, 3), (4, 2, 3)])
def test_draws_follow_the_enumerated_law(v, length, width):
    q = table(v, length, seed=3)
    assert excess(drawn(q, length, width, 12_000), enumerated(q, length, width)) < 3.7


def unconditioned(q, phi, psi, key, stage, purpose, at, *, width, live):
    """Planted: a level's noise does not know when the parent arrived."""
    noise = torch.stack([exponentials(addresses(key, stage, purpose, (*at, w)), q.shape[2]) for w in range(q.shape[1])], 1)
    late = ((noise / q).log() - phi[..., None]).flatten(1)
    late, picks = late.topk(min(width, late.shape[1]), largest=False)
    return member(q, phi, -late, picks)


def beam_search(q, phi, psi, key, stage, purpose, at, *, width, live):
    """Planted: the likeliest children, no noise."""
    score, picks = (phi[..., None] + q.log()).flatten(1).topk(min(width, q[0].numel()))
    return member(q, phi, score, picks)


def replaced(q, phi, psi, key, stage, purpose, at, *, width, live):
    """Planted: every place draws for itself, so that one sequence can be drawn twice."""
    picks = torch.stack(
        [exponentials(addresses(key, stage, purpose, (*at, w)), q[0].numel()).div(q.flatten(1)).argmin(1) for w in range(width)],
        1,
    )
    return member(q, phi, -torch.arange(width).expand(len(q), -1).to(q), picks)


@pytest.mark.parametrize("wrong", [unconditioned, beam_search, replaced])
def test_a_wrong_draw_is_seen(wrong):
    q = table(3, 2, seed=3)
    assert excess(drawn(q, 2, 2, 6_000, wrong), enumerated(q, 2, 2)) > 6


def test_a_parent_arrives_with_its_first_child():
    """Card, test 5: the best child has the parent's score, no child a better one; and beams come in order."""
    n, v = 500, 5
    q = torch.randn(n, 3, v, generator=torch.Generator().manual_seed(1), dtype=torch.float64).mul(2).softmax(-1)
    phi = q[:, :, 0].log()
    psi = torch.sort(torch.randn(n, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64), descending=True).values
    live = torch.ones(n, dtype=torch.bool)
    place, token, joint, score = beam_race(q, phi, psi, torch.arange(n), "s", "draft", (0, 1), width=3 * v, live=live)
    assert bool((score[:, :-1] >= score[:, 1:]).all())
    for parent in range(3):
        assert torch.equal(torch.where(place == parent, score, -torch.inf).amax(1), psi[:, parent])
    torch.testing.assert_close(joint, phi.gather(1, place) + q.flatten(1).gather(1, place * v + token).log())
    assert all(len({*row}) == 3 * v for row in (place * v + token).tolist())


def test_one_level_is_gumbel_top_k():
    """Card, test 4: first a, then b with probability d(a) d(b) / (1 - d(a))."""
    d = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    law = enumerated({(): d}, 1, 2)
    for a, b in product(range(4), repeat=2):
        assert law[(((a,), (b,)),)] == pytest.approx(float(d[a] * d[b] / (1 - d[a])) if a != b else 0, abs=1e-15)


def test_a_support_smaller_than_the_beam_leaves_places_empty():
    q = torch.tensor([[[0.5, 0.5, 0.0, 0.0]]], dtype=torch.float64).expand(100, -1, -1)
    zero, live = beam_root(q), torch.ones(100, dtype=torch.bool)
    place, token, phi, psi = beam_race(q, zero, zero, torch.arange(100), "s", "draft", (0, 0), width=3, live=live)
    assert not any(x.isnan().any() for x in (phi, psi))
    assert (psi[:, 2] == -torch.inf).all() and (phi[:, 2] == -torch.inf).all()
    assert {tuple(t) for t in token[:, :2].tolist()} == {(0, 1), (1, 0)}
    following = q.expand(-1, 3, -1)
    place, _, phi, psi = beam_race(following, phi, psi, torch.arange(100), "s", "draft", (0, 1), width=6, live=live)
    assert (place[psi > -torch.inf] < 2).all()
    assert ((psi > -torch.inf).sum(1) == 4).all()


def test_where_nothing_can_follow_the_sequence_keeps_its_place():
    q = torch.tensor([[[0.5, 0.5], [torch.nan, torch.nan], [0.0, 0.0]]], dtype=torch.float64)
    filled, fertile = or_void(q)
    assert fertile.tolist() == [[True, False, False]]
    assert filled.tolist() == [[[0.5, 0.5], [1.0, 0.0], [1.0, 0.0]]]
    psi = torch.tensor([[-1.0, -2.0, -torch.inf]])
    assert offspring(psi, torch.tensor([[0, 1, 0]]), fertile, None).tolist() == [[True, False, False]]
    assert offspring(psi, torch.tensor([[0, 0, 0]]), fertile, torch.tensor([[False, True, True]])).tolist() == [[False] * 3]


def test_a_row_draws_alone_as_it_draws_in_a_batch():
    q = torch.randn(4, 2, 6, generator=torch.Generator().manual_seed(5)).softmax(-1)
    phi = psi = torch.tensor([[-0.5, -1.0]]).expand(4, -1)
    key, steps, live = torch.tensor([9, 4, 9, 1]), torch.tensor([0, 3, 1, 2]), torch.ones(4, dtype=torch.bool)
    whole = beam_race(q, phi, psi, key, "s", "draft", (steps, 1), width=3, live=live)
    for b in range(4):
        i = slice(b, b + 1)
        alone = beam_race(q[i], phi[i], psi[i], key[i], "s", "draft", (steps[i], 1), width=3, live=live[i])
        assert all(torch.equal(x[i], y) for x, y in zip(whole, alone, strict=True))


def test_sixty_levels_in_single_precision_stay_finite():
    q = torch.randn(50, 1, 100, generator=torch.Generator().manual_seed(6)).mul(3).softmax(-1)
    phi = psi = beam_root(q)
    live = torch.ones(50, dtype=torch.bool)
    for level in range(60):
        tips = q.expand(-1, phi.shape[1], -1)
        _, _, phi, after = beam_race(tips, phi, psi, torch.arange(50), "s", "draft", (0, level), width=4, live=live)
        assert torch.isfinite(phi).all() and torch.isfinite(after).all()
        torch.testing.assert_close(after[:, 0], psi[:, 0])  # the first to arrive is first at every level
        psi = after
    assert float(phi.min()) < -100  # probabilities that single precision could not hold
