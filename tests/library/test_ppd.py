"""Prompt tokens as declared: sizes of the tree, and what is refused (the method's case is tests/cases/test_ppd.py)."""

import pytest

from penstock.ir.errors import PenstockError
from penstock.ir.ops.probes import chains
from penstock.ir.standin import StandIn
from penstock.library import ModelVerifier, PromptTokens
from penstock.passes.build import build
from penstock.passes.order import elaborate


def test_sizes_of_the_shipped_tree():
    """Vicuna-7B/105: 33 candidates with 72 prompt tokens make an input of 109 rows, root and its 3 prompts included."""
    paths = tuple((r,) for r in range(10)) + tuple((r, s) for r in range(10) for s in range(3))[:23]
    tree = PromptTokens(view="t", candidates=paths, prompts=(3,) * 12 + (2,) * 15 + (1,) * 6)
    assert 1 + tree.room == 109
    assert [len(c) for c in chains(tree.chains(), 33)] == [3, *tree.prompts]


@pytest.mark.parametrize("tree", [((0, 0),), ((0,), (0,)), ((0, 0, 0, 0),), ((),)])
def test_a_tree_without_a_parent_is_refused(tree):
    with pytest.raises((PenstockError, ValueError), match="candidate"):
        PromptTokens(view="t", candidates=tree)


REFUSED = {
    "which no verifier scores": ("dt", "tree embeds"),
    "no stage scores in the view d": ("t", "tree"),
    "with embeds": ("dt", "tree"),
}


@pytest.mark.parametrize("said", REFUSED)
def test_probes_that_cannot_be_scored_are_refused(said):
    views, can = REFUSED[said]
    facts = {name: StandIn(name, 3, capabilities=frozenset(can.split())) for name in views}
    plan = elaborate([PromptTokens(view="d").small(3), ModelVerifier(model="t")])
    with pytest.raises(PenstockError, match=said):
        build(plan, facts)
