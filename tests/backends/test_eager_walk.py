"""The host's walk is the walk region, row by row: same noise, same rule, same path."""

import random
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from penstock.backends.eager import walk as host
from penstock.backends.eager.lower import lowered
from penstock.backends.eager.race import winner_among
from penstock.backends.eager.target import Target
from penstock.backends.interpret import Interpreter
from penstock.ir import tracing
from penstock.ir.errors import PenstockError
from penstock.ir.ops.logits import scale, top_k, top_p
from penstock.ir.ops.threshold import min_p
from penstock.ir.ops.tree import sites
from penstock.ir.ports import Draft
from penstock.ir.rules import RULES, Typical
from penstock.ir.trace import Tracer
from penstock.ir.types import EXAMPLE_ROWS
from penstock.ir.walk import walk
from penstock.passes.build import StepGraph
from penstock.passes.plan import Plan

V, NODES, DEPTH, WIDTH = 5, 9, 3, 4
WALKED = {**RULES, "typical": Typical(0.3, 0.6)}
NODEWISE = ("token", "parent_site", "site", "rank", "valid", "q")


def tree(draw: random.Random, distinct: bool) -> tuple[list[int], list[int]]:
    """Random nodes: parent sites that are no duplicate's own, at most WIDTH children a site, at most DEPTH deep."""
    parents: list[int] = []
    tokens: list[int] = []
    depth, first = {0: 0}, {}
    while len(parents) < NODES:
        parent, token = draw.choice([s for s in depth if depth[s] < DEPTH]), draw.randrange(V)
        if parents.count(parent) == WIDTH or distinct and (parent, token) in first:
            continue
        site = first.setdefault((parent, token), len(parents) + 1)
        depth.setdefault(site, depth[parent] + 1)
        parents.append(parent)
        tokens.append(token)
    return parents, tokens


def path(draw: random.Random, distinct: bool) -> tuple[list[int], list[int]]:
    """Random nodes, one below the other."""
    return list(range(DEPTH)), [draw.randrange(V) for _ in range(DEPTH)]


def situation(seed: int, rows: int, rule: str) -> dict[str, Tensor]:
    """Everything that a walk by this rule reads, for rows in different situations."""
    draw, noise = random.Random(seed), torch.Generator().manual_seed(seed)
    shape = path if rule in RULES and RULES[rule].one_path else tree
    drawn = [shape(draw, rule == "recursive") for _ in range(rows)]
    nodes = len(drawn[0][0])
    parent, token = (torch.tensor([x[i] for x in drawn]) for i in (0, 1))
    site, rank = sites.meaning(parent, token)
    real = lambda *shape: torch.randn(*shape, generator=noise, dtype=torch.float64) * 1.5  # noqa: E731
    some = lambda p, *shape: torch.rand(*shape, generator=noise) < p  # noqa: E731
    composed = real(rows, 1 + nodes, V).masked_fill(some(0.2, rows, 1 + nodes, V), -torch.inf)
    composed[..., 0] = composed[..., 0].clamp(min=-3.0)
    if shape is path:  # likely enough to be followed to the end
        composed[:, :-1].scatter_add_(2, token[..., None], torch.full((rows, nodes, 1), 2.0, dtype=torch.float64))
    drafts = real(rows, 1 + nodes, V).softmax(-1)
    whole = lambda high: torch.randint(high, (rows,), generator=noise)  # noqa: E731
    return dict(
        composed=composed, token=token, parent_site=parent, site=site, rank=rank, valid=some(0.85, rows, nodes),
        q=drafts.gather(1, parent[..., None].expand(-1, -1, V)), length=whole(4), steps=whole(4), key=whole(1000),
        limit=whole(3) + 5, live=some(0.9, rows), last=some(0.15, rows, 1 + nodes), closed=some(0.15, rows, 1 + nodes),
    )  # fmt: skip


SHAPES = {
    "whole": lambda x: x,
    "top-k": lambda x: top_k(x, 3),
    "top-p": lambda x: top_p(x, 0.8),
    "min-p": lambda x: min_p(x, 0.2),
}
"""How sites are narrowed before the walk."""


def traced_walk(rule: str, example: dict[str, Tensor], cold: bool, shape: str = "whole") -> StepGraph:
    """A graph of one walk over the example's values, which are its placeholders."""
    tracer = Tracer({}, V)
    values = {name: tracer.placeholder(name, value) for name, value in example.items()}
    with tracing.recording(tracer):  # type: ignore[arg-type]
        draft, composed = None, SHAPES[shape](scale(values.pop("composed"), 0 if cold else 1.0))
        if "token" in values:
            nodes = {name: values.pop(name) for name in NODEWISE}
            draft = Draft(**nodes, parents=(), law="iid", nodes=example["token"].shape[1], depth=DEPTH, width=WIDTH)
        commit = walk(composed, draft, WALKED[rule], stage="accept", **values)
    tracer.graph.output(tuple(x.node for x in (commit.token, commit.node, commit.count, commit.last_site, commit.last_token)))
    return StepGraph(tracer.graph, (), Plan(()), NODES, ())


def both(
    rule: str, given: dict[str, Tensor], *, cold: bool = False, shape: str = "whole", **planted: Tensor
) -> tuple[Any, Any]:
    """What the region and what the host's walk commit on live rows; ``planted``: what the host is told instead."""
    rows = torch.arange(EXAMPLE_ROWS) % len(given["key"])
    step = traced_walk(rule, {name: value[rows] for name, value in given.items()}, cold, shape)
    expected, found = Interpreter().run(step.graph, tuple(given.values())), lowered(step)(*(given | planted).values())
    return tuple([torch.as_tensor(x)[given["live"]].tolist() for x in out] for out in (expected, found))


@pytest.mark.parametrize("rule, seed", list(product(WALKED, range(3))))
@pytest.mark.parametrize("cold", [False, True])
def test_the_host_walks_as_the_region(rule, seed, cold):
    given = situation(seed, 70, rule)
    expected, found = both(rule, given, cold=cold)
    assert found == expected
    assert {1, 2, 3} <= set(expected[2])  # paths of several lengths


@pytest.mark.parametrize("shape", ["top-k", "top-p", "min-p"])
@pytest.mark.parametrize("rule, seed", list(product(WALKED, range(3))))
def test_the_host_walks_over_candidates_as_the_region_over_rows(rule, seed, shape):
    given = situation(seed, 70, rule)
    expected, found = both(rule, given, shape=shape)
    assert found == expected
    assert {1, 2} <= set(expected[2])


@pytest.mark.parametrize("rule", ["match", "kseq"])
def test_a_walk_whose_candidates_are_shifted_is_seen(rule, monkeypatch):
    """Planted: places among candidates are taken for tokens."""
    monkeypatch.setattr(Target, "winner", lambda target, word: winner_among(target.weights, target.ids, word))
    expected, found = both(rule, situation(0, 70, rule), shape="top-k")
    assert found != expected


@pytest.mark.parametrize("rule", ["kseq", "match"])
@pytest.mark.parametrize("shape", ["top-k", "top-p"])
@pytest.mark.parametrize("value, message", [(-torch.inf, "has no support"), (torch.nan, "are NaN")])
def test_a_row_of_candidates_that_nothing_can_be_drawn_for_is_named(value, message, shape, rule):
    given = situation(3, 4, rule)
    given["composed"][2, 0] = value
    given["live"][:], given["valid"][:] = True, False
    with pytest.raises(PenstockError, match=f"row 2 {message}"):
        both(rule, given, shape=shape)


def test_roots_of_drafted_walks_race_at_once(monkeypatch):
    asked: list[int] = []
    told = host.winners_among
    monkeypatch.setattr(host, "winners_among", lambda weights, ids, words: asked.append(len(words)) or told(weights, ids, words))
    given = situation(0, 70, "match")
    expected, found = both("match", given, shape="top-k")
    assert found == expected and asked == [int(given["live"].sum())]


@pytest.mark.parametrize("rule", WALKED)
def test_without_cuts(rule):
    given = situation(7, 200, rule)
    expected, found = both(rule, {name: value for name, value in given.items() if name not in ("last", "closed")})
    assert found == expected
    assert 4 in expected[2]


def undrafted(seed: int, rows: int) -> dict[str, Tensor]:
    """A situation in which there is only the root to select from."""
    given = {name: value for name, value in situation(seed, rows, "recursive").items() if name not in NODEWISE}
    return given | {"composed": given["composed"][:, :1], "last": given["last"][:, :1]}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", sorted(WALKED.keys() - {"block"}))  # which plans over a path
def test_without_a_draft(rule, shape):
    expected, found = both(rule, undrafted(8, 60), shape=shape)
    assert found == expected
    assert set(expected[2]) == {1}


def test_without_a_draft_candidates_of_all_live_rows_race_at_once(monkeypatch):
    raced, own = [], host.winners_among
    monkeypatch.setattr(host, "winners_among", lambda weights, *given: raced.append(weights.shape) or own(weights, *given))
    given = undrafted(8, 60)
    both("match", given, shape="top-k")
    assert raced == [(int(given["live"].sum()), 3)] and not given["live"].all()


def test_without_a_draft_noise_of_another_row_is_seen(monkeypatch):
    """Planted: rows draw in order, but with the addresses of the row before."""
    own = host.winners_among
    monkeypatch.setattr(host, "winners_among", lambda weights, ids, words: own(weights, ids, words[-1:] + words[:-1]))
    expected, found = both("match", undrafted(8, 60), shape="top-k")
    assert found != expected


@pytest.mark.parametrize("value, message", [(-torch.inf, "has no support"), (torch.nan, "are NaN")])
def test_without_a_draft_a_row_that_nothing_can_be_drawn_for_is_named(value, message):
    given = undrafted(8, 60)
    given["live"][:3], given["composed"][2] = torch.tensor([True, False, True]), value
    with pytest.raises(PenstockError, match=f"row 2 {message}"):
        both("match", given, shape="top-k")


def test_in_single_precision_paths_agree_but_for_ties():
    given = situation(9, 100, "kseq")
    given = {name: value.float() if value.is_floating_point() else value for name, value in given.items()}
    expected, found = both("kseq", given)
    assert sum(a != b for a, b in zip(expected[0], found[0], strict=True)) <= 1


@pytest.mark.parametrize("rule", ["kseq", "recursive"])
def test_children_that_were_drawn_though_they_weigh_nothing_are_accepted(rule):
    given = situation(11, 80, rule)
    given["q"][:] = given["q"] * (torch.arange(V) % 2 == 0)
    expected, found = both(rule, given)
    assert found == expected
    assert {1, 2} <= set(expected[2])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", WALKED)
def test_half_precise_logits_are_walked_in_single_precision(rule, shape):
    """A model may hand on bfloat16: probabilities are float32 in the region and on the host, and are not rounded to it."""
    given = situation(10, 100, rule)
    given = {name: value.float() if value.is_floating_point() else value for name, value in given.items()}
    expected, found = both(rule, given | {"composed": given["composed"].bfloat16()}, shape=shape)
    assert sum(a != b for a, b in zip(expected[0], found[0], strict=True)) <= 1
    rounded = given | {"composed": given["composed"].bfloat16().float()}
    assert found == both(rule, rounded, shape=shape)[1]


@pytest.mark.parametrize("value, message", [(-torch.inf, "has no support"), (torch.nan, "are NaN")])
@pytest.mark.parametrize("cold", [False, True])
def test_a_row_that_nothing_can_be_drawn_for_is_named(value, message, cold):
    given = situation(3, 4, "kseq")
    given["composed"][2, 0] = value
    given["live"][:], given["valid"][:] = True, False
    with pytest.raises(PenstockError, match=f"row 2.*{message}|{message}.*row 2|row 2 are NaN"):
        both("kseq", given, cold=cold)


# --- planted faults ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rule", ["kseq", "recursive"])
def test_coins_by_the_order_of_valid_siblings_are_seen(rule):
    """Planted: a coin's address counts valid siblings instead of all; exact too, and yet not the region's draw."""
    given = situation(0, 120, rule)
    given["valid"] &= torch.arange(NODES) > 1
    before = (given["parent_site"][:, :, None] == given["parent_site"][:, None]) & given["valid"][:, None]
    renumbered = before.long().tril(-1).sum(2)
    expected, found = both(rule, given, rank=renumbered)
    assert found != expected
    expected, found = both(rule, given | {"rank": renumbered})
    assert found == expected


def test_ignored_cuts_are_seen():
    given = situation(0, 120, "kseq")
    for cut in ("last", "closed"):
        expected, found = both("match", given, **{cut: torch.zeros_like(given[cut])})
        assert found != expected


def test_noise_of_another_step_is_seen():
    given = situation(0, 120, "kseq")
    for coordinate, rule in (("steps", "kseq"), ("length", "match")):
        expected, found = both(rule, given, **{coordinate: given[coordinate] + 1})
        assert found != expected
