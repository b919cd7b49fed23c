"""Stages: values that know where they were declared."""

import inspect

import pytest
from pydantic import ValidationError

from penstock.dsl.function import stage as stage_of
from penstock.dsl.param import param
from penstock.dsl.pipeline import Pipeline
from penstock.dsl.registry import stage_class, stage_classes
from penstock.dsl.spec import dump, load
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError


def test_equal_by_kind_and_fields_wherever_declared(transform, drafter):
    one = transform(value=2.0, bias={3: 1.0})
    other = transform(value=2, bias={3: 1})
    assert one.source != other.source
    assert one == other
    assert hash(one) == hash(other)
    assert one != transform(value=2.5, bias={3: 1.0})
    assert drafter(model="a") != drafter(model="b")
    assert len({one, other, transform()}) == 2


def test_a_stage_of_another_kind_with_the_same_fields_is_another_stage():
    scorer, tap = stage_class("trivial.scorer")(), stage_class("trivial.tap")()
    assert scorer != tap
    assert hash(scorer) != hash(tap)


def test_source_is_the_callers_line(transform):
    line = inspect.currentframe().f_lineno + 1
    stage = transform(value=1.0)
    assert stage.source == f"tests/dsl/test_stage.py:{line}" or stage.source.endswith(f"test_stage.py:{line}")
    assert stage.place_of("value") == stage.source
    assert stage.model_copy(update={"value": 3.0}).source == stage.source


def test_parts_are_declared_where_their_composite_is():
    stage = stage_class("trivial.composite")()
    assert {part.source for part in stage.parts()} == {stage.source}


def test_frozen_and_closed(transform):
    with pytest.raises(ValidationError, match="frozen"):
        transform().value = 2.0
    with pytest.raises(PenstockError, match="field vlue: there is no such field"):
        transform(vlue=2.0)


@pytest.mark.parametrize("value", ["1", True, None, float("nan"), float("inf"), -0.5, {"param": "T"}, {"param": "t", "x": 1}])
def test_a_number_is_a_number(transform, value):
    with pytest.raises(PenstockError, match="field value"):
        transform(value=value)


@pytest.mark.parametrize("length", ["4", True, 4.0, 0, 2**63])
def test_an_integer_is_an_integer(drafter, length):
    with pytest.raises(PenstockError, match="field length"):
        drafter(model="a", length=length)


def test_keys_are_text_in_a_spec_and_numbers_in_a_stage(transform):
    assert transform(bias={"3": 1.0}) == transform(bias={3: 1.0})


def test_stage_fields_take_stages_and_what_specs_write(transform):
    inner = transform(value=2.0)
    assert transform(inner=inner) == transform(inner={"trivial.transform": {"value": 2.0}})
    assert transform(others=["trivial.tap"]).others == (stage_class("trivial.tap")(),)
    assert transform(inner=inner).model_dump()["trivial.transform"]["inner"]["trivial.transform"]["value"] == 2.0


def test_a_parameter_keeps_its_name_and_its_default_must_fit(transform):
    stage = transform(value=param("temperature", 0.8))
    assert stage.value.param == "temperature"
    assert stage.params() == {"value": param("temperature", 0.8)}
    with pytest.raises(PenstockError, match="greater than or equal to 0"):
        transform(value=param("temperature", -1))


IN_PYTHON = {
    "stage trivial.transform, field value: should be greater than or equal to 0": lambda new: new(value=-1),
    "stage trivial.drafter, field modl: there is no such field": lambda new: stage_class("trivial.drafter")(modl="t"),
    "Pipeline, field models.t: model reference 'foo': it names no place": lambda new: Pipeline(
        models={"t": "foo"}, stages=(new(),)
    ),
    "pipeline and nodes are both given": lambda new: Pipeline(nodes={"a": new()}, stages=(new(),)),
    "pipeline, field nodes: should be a mapping, not 3": lambda new: Pipeline(nodes=3),
    "Pipeline, field stages: has too few items": lambda new: Pipeline(stages=()),
    'Param, field param: is not spelt like a name, not "X y"': lambda new: param("X y"),
    "stage trivial.transform, field value: should be a valid number": lambda new: new(bias={1: 1.0}, value=10**5000),
}


@pytest.mark.parametrize("message", IN_PYTHON)
def test_a_mistake_in_python_is_one_error_at_the_callers_line(transform, message):
    with pytest.raises(PenstockError) as caught:
        IN_PYTHON[message](transform)
    assert caught.value.what.startswith(message)
    assert "\n" not in caught.value.what and len(caught.value.what) < 200
    assert "test_stage.py:" in caught.value.where


def test_what_is_no_stage_cannot_follow_one(transform):
    for chain in (transform(), transform() >> transform()):
        with pytest.raises(TypeError, match="joins stages and pipelines, and 'x' is neither"):
            chain >> "x"


def test_reference_drops_what_accelerates_and_keeps_what_steers(drafter, transform):
    assert drafter(model="a").reference() is None
    assert transform().reference() == transform()


def test_not_certified_unless_it_says_how(transform):
    with pytest.raises(NotImplementedError, match="trivial.transform is not certified"):
        transform().small(3)


def declare(kind="trivial.new", role="encoder", effect="steers"):
    return type("New", (Stage,), {"kind": kind, "role": role, "effect": effect, "__module__": __name__})


def test_a_kind_belongs_to_one_class():
    with pytest.raises(TypeError, match=r"trivial.drafter' is taken by .*TrivialDrafter"):
        declare("trivial.drafter")
    assert stage_class("trivial.drafter").__name__ == "TrivialDrafter"


@pytest.mark.parametrize(
    "mistake, message",
    [
        ({"kind": "nodot"}, "family.method"),
        ({"kind": "Trivial.New"}, "family.method"),
        ({"role": "wizard"}, "set role to one of drafter"),
        ({"effect": "hurts"}, "set effect to one of accelerates"),
        ({"role": "drafter"}, "is a drafter: give it propose"),
        ({"role": "transform"}, "give it transform, or compose, or start and step"),
    ],
)
def test_a_class_must_say_what_it_is(mistake, message):
    with pytest.raises(TypeError, match=message):
        declare(**mistake)
    assert "trivial.new" not in stage_classes()


def test_a_base_without_kind_is_no_stage_of_its_own():
    base = type("Base", (Stage,), {"__module__": __name__, "role": "encoder", "effect": "steers"})
    made = type("Made", (base,), {"__module__": __name__, "kind": "trivial.made"})
    assert stage_class("trivial.made") is made
    assert made().role == "encoder"


def test_a_function_is_a_transform():
    @stage_of("trivial.function")
    def stretched(logits, *, by: float = 2.0, name: str):
        """Multiplies."""
        return logits * by

    made = stretched(name="x")
    assert (made.kind, made.role, made.effect, made.by) == ("trivial.function", "transform", "steers", 2.0)
    assert made.transform(3.0) == 6.0
    assert stretched(name="x", by=param("by", 1.0)).params().keys() == {"by"}
    assert stretched.__doc__ == "Multiplies."
    with pytest.raises(PenstockError, match="stage trivial.function, field name: should be a valid string"):
        stretched(name=3)
    pipeline = made >> stretched(name="y")
    assert load(dump(pipeline)) == pipeline


def bare():
    """No logits."""


def untyped(logits, *, by=2.0):
    """An option of no type."""


def several(logits, *others):
    """Options without names."""


def named(*, logits):
    """Nothing to call it with."""


@pytest.mark.parametrize(
    "function, message",
    [(bare, "bare: its first argument"), (named, "named: its first argument"), (untyped, "untyped: give option by a type")]
    + [(several, r"several: \*others is no option")],
)
def test_a_function_that_cannot_be_a_stage_is_refused_by_name(function, message):
    with pytest.raises(TypeError, match=message):
        stage_of("trivial.never")(function)
    with pytest.raises(TypeError, match=f"above {function.__name__}"):
        stage_of(function)
