"""Stages that mean nothing, or more than a step can hold, are refused where a spec declares them."""

import pytest

from penstock.dsl.spec import load
from penstock.ir.errors import PenstockError
from penstock.library import Confidence, FreeDave

CANVASES = "drafter.nested_canvases drafts canvases"
HEAD = "penstock: 1\nmodels: {t: zoo:target, d: zoo:drafter}\npipeline: ["
NESTED = "drafter.nested_canvases: {unmasker: unmasker.confidence, drafts: 2}"
REFUSED = {
    "constraint.automaton: {table: []}": "table: has too few items",
    "constraint.automaton: {table: [[0, 1], [0]]}": "table: row 1 has 1 entries, row 0 has 2",
    "constraint.automaton: {table: [[0, 2], [0, 0]]}": "table: row 0 leads to state 2, and the last one is 1",
    "constraint.automaton: {table: [[0, -2]]}": "table.0.1: should be greater than or equal to -1",
    "control.pause: {at: []}": "nothing ends a step",
    "drafter.top_k_tree: {model: d, branching: [64, 64, 64]}": "a tree of 266,304 nodes, and a step has room for 4,096",
    f"drafter.top_k_tree: {{model: d, branching: {[64] * 64}}}": "branching: a tree of 4e",
    f"drafter.ppd: {{view: t, distances: 16, candidates: {[[i] for i in range(300)]}}}": "5,116 candidates and prompt tokens",
    f"drafter.or_else: {{first: {{drafter.model: {{model: d}}}}, second: {{{NESTED}}}}}": CANVASES,
    f"drafter.or_else: {{first: {{{NESTED}}}, second: {{drafter.model: {{model: d}}}}}}": CANVASES,
    "gate.ead: {models: [t, t]}": "models: a model cannot take turns with itself",
    "gate.ead: {models: [t]}": "models: has too few items",
    "gate.ead: {models: [t, d, t]}": "models: has too many items",
    "gate.ead: {models: [t, d], window: 99999999999}": "window: should be less than or equal to 4096",
    "gate.ead: {models: [t, d], d_min: 9223372036854775808}": "d_min: should be less than or equal to",
    "steer.ambedkar: {model: d, view: t, k: 99999999999}": "k: should be less than or equal to 1024",
    "control.max_length: {length: 0}": "length: should be greater than or equal to 1",
    "steer.contrast: {model: d, alpha: 0}": "alpha: should be greater than 0",
    "steer.contrast_layers: {model: t, layers: [0]}": "layers.0: should be greater than or equal to 1",
    "steer.guidance: {model: d, view: d}": "nothing guides; name a view with another one",
    "transform.ban: {}": "nothing is banned; name a token in tokens, or a sequence in sequences",
    "transform.ban: {sequences: [[]]}": "sequences.0: has too few items",
    "transform.bias: {tokens: [[3]]}": "tokens.0: has too few items",
    "transform.bias: {tokens: [[3, x]]}": "tokens.0.1: should be a valid number",
    "transform.epsilon: {epsilon: 1}": "epsilon: should be less than 1",
    "transform.force: {at: 0}": "token: is missing",
    "transform.min_length: {length: 3, eos: []}": "eos: has too few items",
    "transform.min_p: {p: 1.5}": "p: should be less than or equal to 1",
    "transform.no_repeat_ngram: {size: 0}": "size: should be greater than or equal to 1",
    "transform.temperature: {value: " + "9" * 400 + "}": "value: should be a valid number",
}


@pytest.mark.parametrize("stage", REFUSED, ids=lambda text: text[:60])
def test_what_means_nothing_is_refused_at_its_place(stage):
    with pytest.raises(PenstockError) as caught:
        load(f"{HEAD}{stage}]")
    kind = stage.partition(":")[0]
    assert caught.value.what.startswith(f"stage {kind}") and REFUSED[stage] in caught.value.what
    assert caught.value.where.startswith("<text>:3:")


def test_a_part_that_nobody_wrote_is_declared_where_its_stage_is():
    (stage,) = load(f"{HEAD}unmasker.freedave]").stages
    assert {part.source for part in (*stage.parts(), stage.reference())} == {"<text>:3:12"}
    inner = Confidence()
    written = FreeDave(unmasker=inner)
    assert written.reference().source == inner.source != written.source
