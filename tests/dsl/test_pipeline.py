"""Pipelines: what `>>` and graphs mean, what they refer to, what stands for them as a reference."""

from itertools import permutations

import pytest

from penstock.dsl.models import TableModel
from penstock.dsl.param import param
from penstock.dsl.pipeline import Generate, Pipeline
from penstock.dsl.registry import stage_class
from penstock.ir.errors import PenstockError


def trivial(name, **fields):
    return stage_class(f"trivial.{name}")(**fields)


def kinds(pipeline):
    return [stage.kind.removeprefix("trivial.") for stage in pipeline.stages]


def test_chaining_is_associative(drafter):
    a, b, c = drafter(model="zoo:a"), trivial("scorer"), trivial("tap")
    assert (a >> b) >> c == a >> (b >> c) == Pipeline(stages=(a, b, c))


def test_joined_pipelines_keep_what_both_say():
    left = Pipeline(models={"a": "zoo:a"}, stages=(trivial("scorer"),), generate=Generate(seed=3))
    right = Pipeline(models={"b": "zoo:b"}, stages=(trivial("tap"),), prompts=("x",))
    joined = left >> right
    assert joined.models == {"a": "zoo:a", "b": "zoo:b"}
    assert (joined.generate.seed, joined.prompts, kinds(joined)) == (3, ("x",), ["scorer", "tap"])


@pytest.mark.parametrize(
    ("left", "right", "what"),
    [
        ({"models": {"a": "zoo:a"}}, {"models": {"a": "zoo:b"}}, "models.a: zoo:a and zoo:b"),
        ({"generate": Generate(seed=1)}, {"generate": Generate(seed=2)}, "generate: "),
        ({"prompts": ("x",)}, {"prompts": ("y",)}, "prompts: "),
    ],
)
def test_joined_pipelines_that_disagree_are_refused(left, right, what):
    with pytest.raises(PenstockError, match=f"pipelines joined by >> disagree on {what}"):
        Pipeline(stages=(trivial("scorer"),), **left) >> Pipeline(stages=(trivial("tap"),), **right)


def test_the_reference_is_the_pipeline_without_accelerators(drafter, transform):
    pipeline = Pipeline(models={"a": "zoo:a"}, stages=(drafter(model="a"), trivial("scorer"), transform(value=2.0)))
    assert pipeline.reference() == pipeline.but(stages=(trivial("scorer"), transform(value=2.0)))
    assert pipeline.reference().reference() == pipeline.reference()


def test_names_are_checked_when_asked_for_not_while_building(drafter):
    pipeline = drafter(model="a") >> trivial("scorer")
    with pytest.raises(PenstockError, match="stage trivial.drafter, field model: no model is called 'a'") as caught:
        pipeline.all_models()
    assert "test_pipeline.py:" in caught.value.where
    assert pipeline.but(models={"a": "table:3:0"}).all_models() == {"a": TableModel(3, 0)}


def test_models_in_use_are_found_in_stages_in_fields_and_in_views(drafter, transform):
    pipeline = Pipeline(
        models={"a": "zoo:a", "b": "zoo:b", "c": "zoo:c", "d": "zoo:d", "unused": "zoo:e"},
        views={"v": {"model": "d"}},
        stages=(transform(inner=drafter(model="a"), others=(drafter(model="b"),)), transform(view="c")),
    )
    assert set(pipeline.all_models()) == {"a", "b", "c", "d"}


def test_parameters_are_found_at_any_depth(transform):
    pipeline = Pipeline(stages=(transform(inner=transform(value=param("t", 1))), transform(value=param("t", 1))))
    assert pipeline.params() == {"t": param("t", 1)}
    with pytest.raises(PenstockError, match="parameter t defaults to 2 here and to 1"):
        pipeline.but(stages=(*pipeline.stages, transform(value=param("t", 2))))


NODES = {"tap": "tap", "warm": "transform", "drafter": "drafter", "score": "scorer", "gate": "gate"}


def wired(*edges, **nodes):
    fields = {"drafter": {"model": "zoo:a"}}
    return Pipeline(nodes={name: trivial(kind, **fields.get(kind, {})) for name, kind in nodes.items()}, edges=edges)


def test_a_graph_that_is_a_chain_is_that_chain_in_whatever_order_it_is_given():
    edges = [("drafter", "score"), ("score", "gate"), ("gate", "warm"), ("warm", "tap")]
    for order in permutations(NODES):
        chain = wired(*edges, **{name: NODES[name] for name in order})
        assert kinds(chain) == ["drafter", "scorer", "gate", "transform", "tap"]


def test_a_reader_stands_before_the_next_writer_of_what_it_reads():
    edges = [("drafter", "score"), ("score", "gate"), ("score", "warm"), ("score", "tap")]
    for order in permutations(NODES):
        chain = kinds(wired(*edges, **{name: NODES[name] for name in order}))
        assert chain[:2] == ["drafter", "scorer"]
        assert chain[-1] == "transform"


def test_a_composite_needs_no_scorer_before_it():
    assert kinds(wired(("c", "t"), t="tap", c="composite")) == ["composite", "tap"]


@pytest.mark.parametrize(
    ("edges", "nodes", "what"),
    [
        (
            [("s", "a"), ("s", "b")],
            {"s": "scorer", "a": "transform", "b": "transform"},
            r"stages a \(trivial.transform\) and b \(trivial.transform\) both write Scored, and neither comes first",
        ),
        (
            [("s", "a"), ("a", "b"), ("b", "a")],
            {"s": "scorer", "a": "gate", "b": "tap"},
            r"form a cycle: a \(trivial.gate\) -> b \(trivial.tap\) -> a",
        ),
        ([("s", "s")], {"s": "scorer"}, "form a cycle: s"),
        (
            [("s", "a")],
            {"s": "scorer", "a": "tap", "b": "tap"},
            r"stage b \(trivial.tap\) cannot be reached from s \(trivial.scorer\)",
        ),
        (
            [("a", "s")],
            {"s": "scorer", "a": "transform"},
            r"stage a \(trivial.transform\) reads Scored, which nothing before it gives; s \(trivial.scorer\) does",
        ),
        (
            [("a", "b")],
            {"a": "gate", "b": "tap"},
            r"stage a \(trivial.gate\) reads Scored, which nothing before it gives$",
        ),
        (
            [("d", "s"), ("e", "s")],
            {"d": "drafter", "e": "drafter", "s": "scorer"},
            r"stages d \(trivial.drafter\) and e \(trivial.drafter\) both write Draft",
        ),
        ([("s", "x")], {"s": "scorer"}, "edge s -> x: there is no node x"),
    ],
)
def test_a_graph_that_means_nothing_is_refused_by_both_names(edges, nodes, what):
    with pytest.raises(PenstockError) as caught:
        wired(*edges, **nodes)
    assert caught.match(what.removesuffix("$"))
    assert not what.endswith("$") or "; " not in caught.value.what
    assert caught.value.fix
