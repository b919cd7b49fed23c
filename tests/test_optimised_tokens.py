"""Pipelines drawn from the catalogue decode the same tokens with every optimisation and with none, and with any one left out.

Both ways compute the same numbers up to rounding, so a race that is won by a margin is won by the same token; draws here are
derandomised, and none of them is that close.
"""

from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from penstock import testing
from penstock.backends.inductor import artefact, lower as inductor
from penstock.dsl.stage import Stage
from penstock.ir.errors import PenstockError
from penstock.library import (
    Ambedkar,
    Auto,
    Ban,
    Bias,
    Contrast,
    EntropyAdaptive,
    Epsilon,
    Eta,
    Frequency,
    Guidance,
    HiddenThought,
    LayerSkip,
    MinLength,
    MinP,
    ModelDrafter,
    ModelVerifier,
    NoRepeatNGram,
    OrElse,
    Presence,
    PromptLookup,
    Repetition,
    StochasticBeam,
    Temperature,
    TopK,
    TopKTree,
    TopP,
    ToyGrammar,
    TypicalP,
)
from penstock.passes.optimise.optimisation import VERIFY
from penstock.passes.order import OPTIMISATION
from penstock.testing import decode_stages

NAMES = tuple(each.name for each in OPTIMISATION)
KEYS = [5, 11, 17, 23]
VOCAB = 13


def fraction(*bounds: float) -> st.SearchStrategy[float]:
    """A number between 0 and 1 of few digits, so that failures read well, or one of the bounds."""
    return st.sampled_from([*bounds, *(n / 20 for n in range(1, 20))])


drafters: st.SearchStrategy[Stage | None] = st.one_of(
    st.none(),
    st.builds(ModelDrafter, model=st.just("d"), length=st.integers(1, 4), paths=st.integers(1, 3), mirror=st.booleans()),
    st.builds(ModelDrafter, model=st.just("d"), length=st.integers(1, 4), greedy=st.just(True)),
    st.just(ModelDrafter(model="d", length=Auto(longest=3))),
    st.builds(TopKTree, model=st.just("d"), branching=st.sampled_from([(2,), (2, 1), (3, 2, 1)])),
    st.builds(StochasticBeam, model=st.just("d"), width=st.integers(2, 3), length=st.integers(1, 3)),
    st.builds(PromptLookup, length=st.integers(1, 4)),
    st.just(LayerSkip(model="t", exit=1, length=2)),
    st.just(OrElse(first=PromptLookup(length=3), second=ModelDrafter(model="d", length=3))),
)
scorers: st.SearchStrategy[Stage] = st.one_of(
    st.builds(ModelVerifier, model=st.just("t"), rule=st.sampled_from(["auto", "auto", "kseq", "match", "block", "greedy"])),
    st.builds(EntropyAdaptive, models=st.just(("t", "l")), tau=fraction(1.0, 2.0), window=st.just(2), d_min=st.just(1)),
    st.just(HiddenThought(model="t", helper="h", marker=1)),
)
shapes: st.SearchStrategy[Stage] = st.one_of(
    st.builds(Temperature, value=st.sampled_from([0.0, 1.0, 0.5, 0.8, 1.7])),
    st.builds(TopK, k=st.integers(1, VOCAB + 2)),
    st.builds(TopP, p=fraction(1.0)),
    st.builds(MinP, p=fraction(0.0)),
    st.builds(TypicalP, p=fraction()),
    st.builds(Epsilon, epsilon=fraction(0.01)),
    st.builds(Eta, epsilon=fraction(0.01)),
    st.builds(Repetition, alpha=st.sampled_from([1.0, 1.3, 0.7])),
    st.builds(Presence, alpha=st.sampled_from([0.0, 0.9])),
    st.builds(Frequency, alpha=st.sampled_from([0.0, 0.6])),
    st.builds(Guidance, model=st.just("t"), view=st.just("other"), scale=st.sampled_from([1.5, 2.0])),
    st.builds(Contrast, model=st.just("a")),
    st.builds(Ambedkar, model=st.sampled_from(["t", "f"]), view=st.just("other"), alpha=st.just(1.5), k=st.integers(2, 3)),
    st.just(NoRepeatNGram(size=2)),
    st.just(Bias(tokens=((0, 1.0),), sequences=(((0, 1), -2.0),))),
    st.just(Ban(sequences=((1, 1), (1, 0, 1)))),
    st.just(MinLength(length=2, eos=(2,))),
    st.just(ToyGrammar.over(VOCAB)),
)
pipelines = st.tuples(drafters, scorers, st.lists(shapes, max_size=4, unique_by=lambda stage: stage.kind)).map(
    lambda drawn: tuple(stage for stage in (drawn[0], drawn[1], *drawn[2]) if stage is not None)
)


def texts(stages: tuple[Any, ...], without: tuple[str, ...] = ()) -> Any:
    """What a pipeline decodes; None where it is refused."""
    try:
        rows = decode_stages(stages, KEYS, vocab=VOCAB, eos=(2,), limit=9, prompted=("other",), without=without)
    except PenstockError as error:
        return str(error)
    return [row.tokens for row in rows]


def same_with_and_without(stages: tuple[Any, ...]) -> None:
    whole = texts(stages)
    assert texts(stages, NAMES) == whole
    for name in NAMES:
        assert texts(stages, (name,)) == whole, name


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(pipelines)
def test_no_optimisation_changes_a_token(stages):
    same_with_and_without(stages)


@pytest.mark.full
@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(pipelines)
def test_no_optimisation_changes_a_token_of_many_pipelines(stages):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VERIFY, "1")
        same_with_and_without(stages)


def same_in_regions(stages: tuple[Any, ...]) -> None:
    """The inductor backend, its regions run as they are, on exposed noise: walks where they are fastest, and in lockstep."""
    with pytest.MonkeyPatch.context() as patch:
        whole = texts(stages)
        patch.setattr(artefact, "built", lambda function, inputs: function)
        patch.setattr(inductor, "compiler", lambda: "c++")
        for together in (False, True):
            lower = partial(inductor.lower, lockstep=together)
            patch.setattr(testing, "lower", lambda step, without, lower=lower: lower(step, artefact.Artefacts(), None, without))
            assert texts(stages) == whole


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(pipelines)
def test_no_region_changes_a_token(stages):
    same_in_regions(stages)


@pytest.mark.full
@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(pipelines)
def test_no_region_changes_a_token_of_many_pipelines(stages):
    same_in_regions(stages)
