"""What can be wrong with a pipeline that is written as nodes and edges."""

import pytest
from spec_mistakes import HEAD, refused

MISTAKES = {
    "missing field": (
        HEAD + "pipeline: {nodes: {a: {trivial.drafter: }}}",
        "3:24",
        "stage trivial.drafter, field model: is missing",
        "",
    ),
    "unknown stage": (
        HEAD + "pipeline: {nodes: {a: trivial.tup}}",
        "3:23",
        "pipeline, field nodes.a: there is no stage trivial.tup",
        "",
    ),
    "unknown node": (
        HEAD + "pipeline: {nodes: {a: trivial.scorer, b: trivial.tap}, edges: [[a, c]]}",
        "3:11",
        "edge a -> c: there is no node c",
        "the nodes are a, b",
    ),
    "an edge from nothing": (
        HEAD + "pipeline: {nodes: {a: trivial.scorer}, edges: [[a]]}",
        "3:48",
        "pipeline, field edges.0: has too few items",
        "",
    ),
    "an edge of three": (
        HEAD + "pipeline: {nodes: {a: trivial.scorer}, edges: [[a, a, a]]}",
        "3:48",
        "pipeline, field edges.0: has too many items",
        "",
    ),
    "no nodes": (HEAD + "nodes: 3", "3:8", "pipeline, field nodes: should be a mapping, not 3", ""),
    "unknown stage at the top": (
        HEAD + "nodes:\n  a: trivial.tup",
        "4:6",
        "pipeline, field nodes.a: there is no stage trivial.tup",
        "",
    ),
    "unknown node at the top": (
        HEAD + "nodes: {a: trivial.scorer, b: trivial.tap}\nedges: [[a, c]]",
        "4:8",
        "edge a -> c: there is no node c",
        "the nodes are a, b",
    ),
    "and a chain": (
        HEAD + "pipeline: [trivial.scorer]\nnodes: {a: trivial.scorer}",
        "4:1",
        "pipeline and nodes are both given",
        "keep one",
    ),
    "cycle": (
        HEAD + "pipeline: {nodes: {a: trivial.gate, b: trivial.tap}, edges: [[a, b], [b, a]]}",
        "3:23",
        "the stages form a cycle: a (trivial.gate) -> b (trivial.tap) -> a (trivial.gate)",
        "take one edge out",
    ),
}


@pytest.mark.parametrize(("text", "place", "what", "fix"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_error_with_a_place(text, place, what, fix):
    refused(text, place, what, fix)
