"""What views keep, planned: which move nothing and which do, by how much and why, and that nothing changes."""

from itertools import product
from typing import Any

import pytest
import torch

from penstock.backends.enumerate.certify import requests_of, step_of
from penstock.backends.enumerate.law import Enumerated, enumerate_law, total_variation
from penstock.backends.enumerate.scratch import WrongForward
from penstock.ir.op import op
from penstock.ir.ops.forward import forward, keep, keep_first
from penstock.ir.ops.stacked import STACKED
from penstock.ir.show import show
from penstock.library import (
    Ambedkar,
    EntropyAdaptive,
    Guidance,
    HiddenThought,
    LayerSkip,
    ModelDrafter,
    ModelVerifier,
    OrElse,
    PromptLookup,
    PromptTokens,
    StochasticBeam,
    Temperature,
    TopKTree,
)
from penstock.passes.build import StepGraph
from penstock.passes.dead_code import dead_code
from penstock.passes.kinds import new_state
from penstock.passes.optimise import plan_cache
from penstock.passes.optimise.optimisation import VERIFY, Finding, Ran, optimise
from penstock.passes.optimise.plan_cache import PLAN_CACHE, in_order, most_moved
from penstock.passes.optimise.share_forwards import SHARE_FORWARDS
from penstock.passes.order import elaborate
from penstock.testing import small_world

TARGET, WARM = ModelVerifier(model="t"), Temperature(value=0.8)
CHAIN, PATHS = ModelDrafter(model="d", length=3), ModelDrafter(model="d", length=2, paths=2)
AFTER = Ambedkar(model="t", view="swapped", k=2, alpha=4.0, select="sample", penalty="after")
PROBED = PromptTokens(view="t", candidates=((0,), (0, 0)), distances=2)
EITHER = OrElse(first=PromptLookup(length=3), second=ModelDrafter(model="d", length=3))
UNEQUAL = OrElse(first=PromptLookup(length=3), second=TopKTree(model="d", branching=(2, 1)))


@pytest.fixture(autouse=True)
def verifying(monkeypatch):
    monkeypatch.setenv(VERIFY, "1")


def traced(*stages: Any, **small: Any) -> StepGraph:
    step = step_of(elaborate(stages), small_world(stages, prompted=["swapped", "un"], **small))
    dead_code(step.graph)
    return step


def planned(step: StepGraph) -> Ran:
    """Run the pass alone, on the graph itself."""
    (ran,) = optimise(step.graph, [PLAN_CACHE])
    return ran


def kept(ran: Ran) -> list[Finding]:
    """What was found of views, one finding each."""
    return [finding for finding in ran.findings if finding.rule != "in_place"]


def keeps(step: StepGraph) -> list[Any]:
    """The ops by which views keep, in order."""
    return [node.target for node in step.graph.nodes if node.target in (keep, keep_first)]


TEXT, NODES = "{} is fed its text alone", "{} is fed a chain of {}"
SOME = "of {1} nodes that {0} is fed only a chain of {2} can be accepted"
D, T = "the view draft_d", "the view t"


@pytest.mark.parametrize(
    ("stages", "left", "why"),
    [
        ((TARGET,), 0, [TEXT.format(T)]),
        ((CHAIN, TARGET), 2, [NODES.format(D, 2), NODES.format(T, 3)]),
        ((ModelDrafter(model="d", length=1), TARGET), 1, [TEXT.format(D), NODES.format(T, 1)]),
        ((PromptLookup(length=3), TARGET), 1, [NODES.format(T, 3)]),
        ((LayerSkip(model="t", exit=1, length=2), TARGET), 1, [NODES.format(T, 2)]),
        ((EITHER, TARGET), 2, [NODES.format(D, 2), NODES.format(T, 3)]),
        ((PROBED, TARGET), 1, [SOME.format(T, 8, 2)]),
        ((TARGET, AFTER), 2, [SOME.format(T, 2, 0), SOME.format("the view swapped", 2, 0)]),
    ],
    ids=str,
)
def test_a_view_that_is_fed_a_chain_moves_nothing_and_one_without_nodes_keeps_nothing(stages, left, why):
    step = traced(*stages)
    ran = planned(step)
    assert keeps(step) == [keep_first] * left and [finding.why for finding in kept(ran)] == why and ran.modified
    assert all(finding.fired for finding in kept(ran))


@pytest.mark.parametrize(
    ("stages", "left"),
    [
        ((CHAIN, EntropyAdaptive(models=("t", "l"), tau=1.0, window=2, d_min=1)), [keep_first] * 3),  # by regions, of some rows
        ((CHAIN, HiddenThought(model="t", helper="h", marker=1)), [keep_first] * 2),  # the helper's view is fed its text
    ],
    ids=str,
)
def test_forwards_in_regions_count(stages, left):
    step = traced(*stages)
    planned(step)
    assert keeps(step) == left


BRANCH = "slots of the view {} that move in a row: up to {}, because paths branch among its {} nodes"
ROWS = "slots of the view {} that move in a row: up to {}, because rows draft in unequal shapes"


@pytest.mark.parametrize(
    ("drafter", "why"),
    [
        (PATHS, [BRANCH.format("draft_d", 1, 2), BRANCH.format("t", 2, 4)]),
        (TopKTree(model="d", branching=(1, 2, 1)), [BRANCH.format("draft_d", 1, 3), BRANCH.format("t", 2, 5)]),
        (StochasticBeam(model="d", width=2, length=2), [ROWS.format("draft_d", 2, 2), ROWS.format("t", 2, 4)]),
        (UNEQUAL, [ROWS.format("draft_d", 2, 2), ROWS.format("t", 3, 3)]),
    ],
    ids=str,
)
def test_a_tree_or_rows_of_unequal_shape_keep_a_path_and_it_is_told_how_much_moves(drafter, why):
    step = traced(drafter, TARGET)
    before = show(step.graph)
    ran = planned(step)
    assert [finding.why for finding in kept(ran)] == why and not ran.modified and show(step.graph) == before


def test_a_drafter_that_is_not_fed_where_its_tree_branches_moves_nothing():
    step = traced(TopKTree(model="d", branching=(1, 2)), TARGET)
    assert [finding.fired for finding in kept(planned(step))] == [True, False]
    assert keeps(step) == [keep_first, keep]


def test_stacked_forwards_count_view_by_view():
    step = traced(CHAIN, TARGET, Guidance(model="t", view="un"), AFTER)
    optimise(step.graph, [SHARE_FORWARDS])
    assert STACKED[3] in [node.target for node in step.graph.nodes]
    planned(step)
    assert keeps(step) == [keep_first] * 4


def test_the_graph_reads_no_path():
    step = traced(ModelDrafter(model="d", length=1), TARGET)
    planned(step)
    text = show(step.graph)
    assert "view_t'' = keep_first(view_t', %" in text and "<plan_cache>" in text
    assert "view_draft_d'' " not in text and "return seq', view_draft_d', view_t''" in text


# --- why not -------------------------------------------------------------------------------------------------------
@op("state", consumes=1, borrows=1)
def refilled(view: Any, seq: Any) -> tuple[Any]:
    """Something that may feed a view anything."""
    return (view,)


def test_what_an_op_feeds_that_nobody_knows_is_kept_by_its_path():
    step = traced(CHAIN, TARGET)
    node = [node for node in step.graph.nodes if node.target is forward][-1]
    with step.graph.inserting_before(node):
        fed = step.graph.call_function(refilled, node.args[:2])
        version = step.graph.call_function(lambda pair, i: pair[i], (fed, 0))
    fed.meta |= dict(stage="tap", example=(node.args[0].meta["example"],))
    version.meta |= node.args[0].meta
    node.update_arg(0, version)
    found = PLAN_CACHE.run(step.graph)
    assert [finding.why for finding in found][1] == "what the refilled of tap feeds the view t is not known"
    assert keeps(step) == [keep_first, keep]


def test_a_path_that_no_walk_made_is_read():
    step = traced(CHAIN, TARGET)
    node = next(node for node in step.graph.nodes if node.target is keep)
    with step.graph.inserting_before(node):
        other = step.graph.call_function(torch.clone, (node.args[2],))
    other.meta |= node.args[2].meta | dict(stage="tap")
    node.update_arg(2, other)
    assert PLAN_CACHE.run(step.graph)[0].why == "the clone of tap makes the path"


# --- shapes, by listing paths --------------------------------------------------------------------------------------
def paths(parents: tuple[int, ...]) -> list[list[int]]:
    """Every path from the root, as sites: node i is site i + 1."""
    found: list[list[int]] = []
    for i, parent in enumerate(parents):
        found.append([*(found[parent] if parent >= 0 else []), i + 1])
    return [[], *found]


def had(path: list[int], fed: int) -> list[int]:
    """The longest prefix of a path that a view was fed."""
    return path[: next((j for j, site in enumerate(path) if site > fed), len(path))]


@pytest.mark.parametrize("nodes", range(5))
def test_shapes_are_judged_as_their_paths_say(nodes):
    seen = set()
    for parents, fed in product(product(*(range(-1, i) for i in range(nodes))), range(1, 6)):
        found = [(had(path, fed), min(len(path), fed)) for path in paths(parents)]
        assert in_order(parents, fed) == all(sites == list(range(1, most + 1)) for sites, most in found)
        assert most_moved(parents, fed) == max(sum(site != j + 1 for j, site in enumerate(sites)) for sites, _ in found)
        seen.add(in_order(parents, fed))
    assert seen == ({True} if nodes < 2 else {True, False})


# --- that nothing changes ------------------------------------------------------------------------------------------
def enumerated(stages: Any, *, plan: bool, **small: Any) -> Enumerated:
    world = small_world(stages, prompted=["swapped", "un"], batch=2, **small)
    elaborated = elaborate(stages)
    step = step_of(elaborated, world)
    assert not plan or planned(step).modified
    state = new_state(elaborated, requests_of(elaborated, world), world.models, range(7, 7 + world.rows), step.nodes)
    return enumerate_law(step, state, group=world.rows)


@pytest.mark.parametrize(
    "stages",
    [
        (TARGET, AFTER),
        (CHAIN, TARGET, WARM),
        (TopKTree(model="d", branching=(1, 2)), TARGET, WARM),
        (EITHER, TARGET),
        (PROBED, TARGET),
        (ModelDrafter(model="d", length=2), TARGET, AFTER),
        (CHAIN, EntropyAdaptive(models=("t", "l"), tau=1.0, window=2, d_min=1)),
        (LayerSkip(model="t", exit=1, length=2), TARGET),
    ],
    ids=str,
)
def test_the_law_is_the_same_and_every_forward_one_from_scratch(stages):
    one, other = (enumerated(stages, plan=plan, eos=(2,)) for plan in (False, True))
    assert total_variation(one.law, other.law) < 1e-12 and one.columns == other.columns


@pytest.mark.parametrize("drafter", [PATHS, TopKTree(model="d", branching=(2, 1)), TopKTree(model="d", branching=(2,))], ids=str)
def test_a_tree_taken_for_a_chain_is_seen(drafter, monkeypatch):
    """Planted."""
    monkeypatch.setattr(plan_cache, "in_order", lambda parents, fed: True)
    with pytest.raises(WrongForward, match="a forward is .* from one from scratch"):
        enumerated((drafter, TARGET, WARM), plan=True)


def test_a_view_with_nodes_that_keeps_nothing_is_seen(monkeypatch):
    """Planted."""
    monkeypatch.setattr(plan_cache, "nodes_fed", lambda version: 0)
    with pytest.raises(WrongForward, match="at node 3"):
        enumerated((CHAIN, TARGET, WARM), plan=True)
