"""Records asked of the zoo's pair under their schemas: every reply is valid JSON, whatever is drawn, and costs few forwards."""

import pytest

import penstock
from penstock.dsl.pipeline import Pipeline
from penstock.library import Forced, JsonSchema, ModelDrafter, ModelVerifier, OrElse, Temperature
from penstock.library.zoo import markers
from penstock.library.zoo.data import records
from penstock.library.zoo.measure import held_out

CHAIN = ModelDrafter(model="draft", length=4)
DRAFTERS = {"chain": CHAIN, "forced": Forced(length=8), "either": OrElse(first=Forced(length=4), second=CHAIN)}
FEWEST = {"chain": 4.0, "forced": 2.2, "either": 3.2}
"""Tokens a forward of the target, below what docs/grammars.md names."""
HELD_OUT = held_out.records(50)
FEW = 6


def replies(drafter, value, batch, asked):
    """``(kind of record, result)`` of every request."""
    for kind in records.KINDS.values():
        prompts = [each.prompt_text() + markers.ANSWER for each in asked if each.pair[0] == kind.name]
        stages = (DRAFTERS[drafter], ModelVerifier(model="target"), Temperature(value=value), JsonSchema(schema_=kind.schema()))
        models = {"target": "zoo:target", "draft": "zoo:drafter-small"}
        compiled = penstock.compile(Pipeline(models=models, stages=stages))
        for i in range(0, len(prompts), batch):
            yield from ((kind, result) for result in compiled.generate(prompts[i : i + batch], max_new_tokens=64))


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.full), 8])
@pytest.mark.parametrize("value", [pytest.param(0, marks=pytest.mark.full), 1.0])
@pytest.mark.parametrize("drafter", DRAFTERS)
@pytest.mark.parametrize("count", [FEW, pytest.param(len(HELD_OUT), marks=pytest.mark.full)])
def test_every_reply_is_valid(drafter, value, batch, count):
    found = list(replies(drafter, value, batch, HELD_OUT[:count]))
    assert len(found) == count
    assert all(kind.accepts(result.text) and result.status == "eos" for kind, result in found)
    forwards = sum(result.stats.target_forwards for _, result in found)
    assert sum(len(result.tokens) for _, result in found) / forwards > FEWEST[drafter]
