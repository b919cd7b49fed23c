"""Drafts of what a grammar forces: the law of the target, fewer forwards of it."""

import pytest

import penstock
from penstock.dsl.pipeline import Pipeline
from penstock.ir.errors import PenstockError
from penstock.library import Forced, Grammar, JsonSchema, ModelDrafter, ModelVerifier, OrElse, Regex, Temperature, ToyGrammar
from penstock.testing import certify_stages, decode_stages

VERIFIER = ModelVerifier(model="t")
CONSTRAINTS = (Regex(pattern="x"), Grammar(grammar="start: x"), JsonSchema(schema_=True))


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=lambda c: c.kind)
@pytest.mark.parametrize(
    "drafter",
    [Forced(length=2), OrElse(first=Forced(length=2), second=ModelDrafter(model="d", length=2))],
    ids=lambda d: d.kind,
)
def test_the_law_is_the_targets(drafter, constraint):
    stages = [drafter, VERIFIER, Temperature(value=0.8), constraint.small(3)]
    certificate = certify_stages(stages, batch=2, eos=(2,), limit=4)
    assert certificate.holds, certificate.report()
    lowered, meant = (decode_stages(stages, [5, 11, 3], lowered=eager, eos=(2,), limit=4) for eager in (True, False))
    assert lowered == meant


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}, "job": {"type": "string"}},
    "required": ["name", "age", "city", "job"],
    "additionalProperties": False,
}
PROMPTS = [
    "<|user|>Write this person as JSON with the keys name, age, city, job: Gina Lopez, aged 48, is a sailor in Lisbon."
    "<|assistant|><|answer|>",
    "<|user|>Write this person as JSON with the keys name, age, city, job: Omar Novak, aged 31, is a baker in Oslo."
    "<|assistant|><|answer|>",
]


def test_keys_cost_no_forward_of_the_target():
    texts = {}
    for drafter in (None, Forced(length=8)):
        stages = (*([drafter] if drafter else []), VERIFIER, Temperature(value=0), JsonSchema(schema_=PERSON))
        results = penstock.run(Pipeline(models={"t": "zoo:target"}, stages=stages), PROMPTS)
        texts[drafter is not None] = [r.text for r in results]
        assert all((r.stats.accepted_per_forward > 2) == (drafter is not None) for r in results)
    assert texts[True] == texts[False]


@pytest.mark.parametrize("others", [(), (ToyGrammar.over(3),), (Regex(pattern="1"), Grammar(grammar='start: "1"'))])
def test_without_one_grammar_to_follow_it_is_refused(others):
    pipeline = Pipeline(models={"t": "table:3:1"}, stages=(Forced(), VERIFIER, *others))
    count = sum(hasattr(stage, "forced") for stage in others)
    with pytest.raises(PenstockError, match=rf"drafter.forced.0 drafts what a constraint forces, and {count} stages"):
        penstock.check(pipeline)
