"""Values given from outside: they mean what they would mean in the spec, and their mistakes say where they were given."""

import pytest

from penstock.dsl.spec import load
from penstock.ir.errors import PenstockError

CHAIN = """\
penstock: 1
models: {t: "table:7:1", d: "table:7:2"}
pipeline:
  - drafter.model: {model: d, length: 3}
  - verifier.model: {model: t}
  - transform.temperature
  - transform.top_k: {k: 3}
"""
GRAPH = """\
penstock: 1
models: {t: "table:7:1"}
pipeline:
  nodes:
    verify: {verifier.model: {model: t}}
    cold: {transform.temperature: {value: 0.5}}
    warm: {transform.temperature: }
  edges: [[verify, cold], [cold, warm]]
"""


@pytest.mark.parametrize(
    "given, found",
    [
        ("drafter.model.length=5", lambda p: p.stages[0].length == 5),
        ("model.length=5", None),
        ("temperature.value=0.5", lambda p: p.stages[2].value == 0.5),
        ("temperature.value={param: heat, default: 0.5}", lambda p: [*p.params()] == ["heat"]),
        ("transform.top_k.k=2", lambda p: p.stages[3].k == 2),
        ("generate.seed=9", lambda p: p.generate.seed == 9),
        ("models.t=table:7:5", lambda p: p.models["t"] == "table:7:5"),
    ],
)
def test_a_value_takes_the_place_of_the_specs(given, found):
    if found is None:
        with pytest.raises(PenstockError, match="model may be any of 2 stages"):
            load(CHAIN, [given])
    else:
        changed = load(CHAIN, [given])
        assert found(changed) and not found(load(CHAIN))


def test_later_values_win_and_nodes_have_names():
    pipeline = load(GRAPH, ["warm.value=0.1", "cold.value=0.2", "warm.value=0.3"])
    assert [stage.value for stage in pipeline.stages[1:]] == [0.2, 0.3]


@pytest.mark.parametrize(
    "given, message",
    [
        ("temperature.value", "-o temperature.value: not of the form stage.field=value"),
        ("temperature=1", "-o temperature=1: not of the form stage.field=value"),
        (".value=1", "-o .value=1: not of the form"),
        ("temprature.value=1", "-o temprature.value=1: the pipeline has no stage temprature\n  fix: did you mean temperature?"),
        ("top_k.kk=1", "-o top_k.kk=1: stage transform.top_k, field kk: there is no such field\n  fix: did you mean k?"),
        ("top_k.k=many", "-o top_k.k=many: stage transform.top_k, field k: should be a valid integer"),
        ("top_k.k.x=1", "-o top_k.k.x=1: k is 3 and has no fields"),
        ("generate.sed=1", "-o generate.sed=1: field generate.sed: there is no such field\n  fix: did you mean seed?"),
        ("temperature.value=[1", "-o temperature.value=[1:1:3: not readable as YAML"),
        ("temperature.value=!!python/name:os.system x", "specs have no tags"),
        ("temperature.value=", "-o temperature.value=: stage transform.temperature, field value"),
    ],
)
def test_a_mistake_says_where_it_was_given(given, message):
    with pytest.raises(PenstockError) as caught:
        load(CHAIN, [given])
    assert message in str(caught.value)
